# prefold_module(NAME DIR folder DEPS targets...): a static library of every .cc and .cu file in
# `folder` (or an interface library where there are headers only), with src/ and the root as
# include paths.
function(prefold_module name)
  cmake_parse_arguments(ARG "" "DIR" "DEPS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${ARG_DIR}/*.cc
       ${PROJECT_SOURCE_DIR}/${ARG_DIR}/*.cu)
  if(sources)
    add_library(${name} STATIC ${sources})
    set(scope PUBLIC)
  else()
    add_library(${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(${name} ${scope} ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} ${scope} ${ARG_DEPS})
endfunction()

# prefold_test_program(MODULE SOURCES files... DEPS targets...): the program test_MODULE of doctest.
function(prefold_test_program module)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(test_${module} ${PROJECT_SOURCE_DIR}/tests/test_main.cc ${ARG_SOURCES})
  target_include_directories(test_${module} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(test_${module} PRIVATE ${ARG_DEPS} doctest::doctest)
  # Tests compile much faster like that; what takes time in them is in the libraries.
  if(PREFOLD_SANITIZE)
    target_compile_options(test_${module} PRIVATE -O0)
  else()
    target_compile_options(test_${module} PRIVATE $<$<CONFIG:Release>:-O1>)
  endif()
endfunction()

# prefold_tests(MODULE DEPS targets...): builds tests/MODULE/*_test.cc into one program test_MODULE
# and registers one ctest entry per file, named MODULE/file, run from the root of the sources.
function(prefold_tests module)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${module}/*_test.cc)
  if(NOT sources)
    return()
  endif()
  prefold_test_program(${module} SOURCES ${sources} DEPS ${ARG_DEPS})
  foreach(source ${sources})
    get_filename_component(file ${source} NAME_WE)
    add_test(NAME ${module}/${file}
             COMMAND test_${module} --source-file=*/${file}.cc
             WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    # All cases of a file skipped (no model at hand) is a skipped test, not a passed one.
    set_tests_properties(${module}/${file} PROPERTIES
      SKIP_REGULAR_EXPRESSION "test cases: +0 " TIMEOUT 300
      ENVIRONMENT "PREFOLD_CACHE=${PROJECT_BINARY_DIR}/test-cache;CUDA_VISIBLE_DEVICES=")
  endforeach()
endfunction()
