# embed_texts(TARGET NAMESPACE FILES...): gives TARGET a source file that holds each of FILES as
#   extern const std::string_view NAMESPACE::<its name, dots as underscores>;
# Read at configuration, which runs again when a file changes.
function(embed_texts target namespace)
  set(source "#include <string_view>\n\nnamespace ${namespace} {\n")
  foreach(file ${ARGN})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(READ ${file} text)
    get_filename_component(name ${file} NAME)
    string(REPLACE "." "_" name ${name})
    string(APPEND source
      "extern const std::string_view ${name};\n"
      "const std::string_view ${name} = R\"TEXT(${text})TEXT\";\n")
  endforeach()
  string(APPEND source "}  // namespace ${namespace}\n")
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${target}_texts.cc)
  file(WRITE ${output}.new "${source}")
  configure_file(${output}.new ${output} COPYONLY)  # keeps the time of a file that is the same
  target_sources(${target} PRIVATE ${output})
endfunction()
