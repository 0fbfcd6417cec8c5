# GPU tests: ctest entries with label `gpu` that need a device. Entries run on a real GPU where
# there is one, else in tests/cuda-emulator; variants of the emulator (its detectors, other orders
# of warps, other compute capabilities) always run there. Where neither is at hand an entry is
# skipped; with CI set in the environment that is a failure. Entries of the full matrix have the
# label `gpu-full` and run with `ctest --preset gpu-full` (-C full) only.

# Builds the emulator's libraries into prefold_emulator_lib_dir, which stays empty where they
# cannot be built. Nothing links them: programs find them through LD_LIBRARY_PATH.
set(prefold_emulator_lib_dir)
if(NOT CUDAToolkit_VERSION_MAJOR EQUAL 13)
  set(no_emulator "it stands in for CUDA 13's libraries, not for ${CUDAToolkit_VERSION}'s")
elseif(NOT CMAKE_HOST_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(no_emulator "it needs an x86-64 processor")
else()
  find_program(PREFOLD_MAKE NAMES gmake make)
  if(NOT PREFOLD_MAKE)
    set(no_emulator "GNU make is missing")
  endif()
endif()
if(no_emulator)
  message(STATUS "CUDA emulator: not built (${no_emulator}); GPU tests need a GPU")
else()
  set(build_dir ${PROJECT_BINARY_DIR}/cuda-emulator)
  set(prefold_emulator_lib_dir ${build_dir}/lib)
  get_filename_component(toolkit ${CUDAToolkit_BIN_DIR} DIRECTORY)
  add_custom_target(cuda_emulator ALL
    COMMAND ${PREFOLD_MAKE} -s -j2 BUILD=${build_dir} CUDA=${toolkit}
            "CXX=${CMAKE_CXX_COMPILER_LAUNCHER} ${CMAKE_CXX_COMPILER}"
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}/tests/cuda-emulator
    COMMENT "CUDA emulator" VERBATIM)
  add_test(NAME cuda-emulator/own_tests CONFIGURATIONS full
           COMMAND ${PROJECT_SOURCE_DIR}/tests/cuda-emulator/tests/run.sh ${build_dir} ${toolkit})
  set_tests_properties(cuda-emulator/own_tests PROPERTIES LABELS gpu-full TIMEOUT 3600)
endif()

# prefold_gpu_test(NAME name COMMAND program args...
#   [EMULATOR VARIABLE=VALUE...]   always in the emulator, with these settings (its README.md)
#   [FULL]                         part of the full matrix only
#   [SECONDS n])                   time limit, 600 by default
# program may be a target. Runs from the root of the sources.
function(prefold_gpu_test)
  cmake_parse_arguments(ARG "FULL" "NAME;SECONDS" "COMMAND;EMULATOR" ${ARGN})
  set(where any)
  if(ARG_EMULATOR)
    set(where emulator ${ARG_EMULATOR})
  endif()
  set(label gpu)
  set(configurations)
  if(ARG_FULL)
    set(label gpu-full)
    set(configurations CONFIGURATIONS full)
  endif()
  if(NOT ARG_SECONDS)
    set(ARG_SECONDS 600)
  endif()
  list(POP_FRONT ARG_COMMAND program)
  if(TARGET ${program})
    set(program $<TARGET_FILE:${program}>)
  endif()
  add_test(NAME ${ARG_NAME} ${configurations}
           COMMAND ${PROJECT_SOURCE_DIR}/tests/cuda/run_on_gpu.sh $<TARGET_FILE:cuda_probe>
                   "${prefold_emulator_lib_dir}" ${where} -- ${program} ${ARG_COMMAND}
           WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${ARG_NAME} PROPERTIES
    LABELS ${label} TIMEOUT ${ARG_SECONDS} SKIP_RETURN_CODE 77
    FAIL_REGULAR_EXPRESSION "test cases: +0 "  # a filter that matches nothing tests nothing
    ENVIRONMENT "PREFOLD_CACHE=${PROJECT_BINARY_DIR}/test-cache")
endfunction()

# prefold_gpu_tests(MODULE [JOBS] DEPS targets...): builds tests/MODULE/*_test.cc into one program
# test_MODULE and registers the entries of each file, MODULE/<file> and its variants. The names of
# the cases decide where they run: every file has one or more with [smoke] (the small set for each
# compute capability); those with [full] are left to the full matrix. JOBS: the tests run whole jobs,
# of kernels that have tests of their own; other orders of warps get the small set.
function(prefold_gpu_tests module)
  cmake_parse_arguments(ARG "JOBS" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${module}/*_test.cc)
  prefold_test_program(${module} SOURCES ${sources} DEPS ${ARG_DEPS})
  if(TARGET cuda_emulator)
    add_dependencies(test_${module} cuda_emulator)  # nothing that CMake would see on its own
  endif()
  foreach(source ${sources})
    get_filename_component(file ${source} NAME_WE)
    set(name ${module}/${file})
    set(all test_${module} --source-file=*/${file}.cc)
    set(base ${all} --test-case-exclude=*[full]*)
    set(smoke ${all} --test-case=*[smoke]*)
    set(reordered ${base})
    if(ARG_JOBS)
      set(reordered ${smoke})
    endif()
    prefold_gpu_test(NAME ${name} COMMAND ${base})
    prefold_gpu_test(NAME ${name}.races COMMAND ${base} EMULATOR CUDAEMU_RACECHECK=1 SECONDS 1200)
    prefold_gpu_test(NAME ${name}.uninitialised COMMAND ${base} EMULATOR CUDAEMU_INITCHECK=1)
    prefold_gpu_test(NAME ${name}.reverse COMMAND ${reordered} EMULATOR CUDAEMU_SCHED=reverse)
    prefold_gpu_test(NAME ${name}.random COMMAND ${reordered} EMULATOR CUDAEMU_SCHED=random)
    foreach(cc 75 90)
      prefold_gpu_test(NAME ${name}.sm_${cc} COMMAND ${smoke} EMULATOR CUDAEMU_CC=${cc})
      prefold_gpu_test(NAME ${name}.sm_${cc}.full COMMAND ${all} EMULATOR CUDAEMU_CC=${cc} FULL
                       SECONDS 7200)
    endforeach()
    prefold_gpu_test(NAME ${name}.full COMMAND ${all} FULL SECONDS 7200)
  endforeach()
endfunction()
