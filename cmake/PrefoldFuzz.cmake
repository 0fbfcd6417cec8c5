# Fuzz targets, tests/fuzz/NAME_fuzz.cc. With PREFOLD_FUZZ (needs Clang) each becomes a libFuzzer
# program fuzz_NAME; scripts/fuzz runs them. Else fuzz_NAME replays stored inputs, and ctest has it
# do so with those in tests/data/fuzz/NAME.

# prefold_fuzz_target(NAME DEPS targets...)
function(prefold_fuzz_target name)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  add_executable(fuzz_${name} fuzz/${name}_fuzz.cc)
  target_include_directories(fuzz_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(fuzz_${name} PRIVATE ${ARG_DEPS})
  if(PREFOLD_FUZZ)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    return()
  endif()
  target_sources(fuzz_${name} PRIVATE fuzz/replay_main.cc)
  add_test(NAME fuzz/${name} COMMAND fuzz_${name} tests/data/fuzz/${name}
           WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(fuzz/${name} PROPERTIES TIMEOUT 300)
endfunction()
