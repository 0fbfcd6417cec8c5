# Decides whether the CUDA engine is built, and enables the CUDA language if so.
#
#   PREFOLD_CUDA=AUTO  built where a toolkit is found, version 12 or 13 (the default)
#                ON    built; an error where no toolkit is found
#                OFF   not built
#
# Sets prefold_cuda to TRUE or FALSE, and prefold_cuda_missing to the reason for the latter. What
# links the target `cuda` gets the definition PREFOLD_CUDA.
set(PREFOLD_CUDA AUTO CACHE STRING
    "Build the CUDA engine: AUTO (where a toolkit is found), ON, OFF")
set_property(CACHE PREFOLD_CUDA PROPERTY STRINGS AUTO ON OFF)

# Sets prefold_cuda_missing to the reason, empty if all is there.
macro(prefold_find_cuda)
  set(prefold_cuda_missing)
  find_package(CUDAToolkit QUIET)
  if(NOT CUDAToolkit_FOUND)
    set(prefold_cuda_missing "no CUDA toolkit found")
  elseif(CUDAToolkit_VERSION VERSION_LESS 12)
    set(prefold_cuda_missing "CUDA ${CUDAToolkit_VERSION} is too old, 12 is needed")
  elseif(NOT TARGET CUDA::cublas)  # src/cuda/cublas_api.h loads it at run time
    set(prefold_cuda_missing "cuBLAS is not in ${CUDAToolkit_LIBRARY_DIR}")
  else()
    if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX} AND CUDAToolkit_NVCC_EXECUTABLE)
      set(CMAKE_CUDA_COMPILER ${CUDAToolkit_NVCC_EXECUTABLE})  # the toolkit need not be in PATH
    endif()
    include(CheckLanguage)
    check_language(CUDA)
    if(NOT CMAKE_CUDA_COMPILER)
      set(prefold_cuda_missing "nvcc is missing or cannot use this host compiler")
    endif()
  endif()
endmacro()

set(prefold_cuda FALSE)
if(NOT PREFOLD_CUDA)
  set(prefold_cuda_missing "PREFOLD_CUDA=${PREFOLD_CUDA}")
elseif(PREFOLD_SANITIZE)
  # AddressSanitizer's reserved addresses are in the way of a CUDA context, and it does not see
  # device memory; the emulator checks every access of the kernels instead (docs/gpu.md).
  if(NOT PREFOLD_CUDA STREQUAL "AUTO")
    message(FATAL_ERROR "PREFOLD_CUDA=${PREFOLD_CUDA}: there is no CUDA engine in sanitizer builds")
  endif()
  set(prefold_cuda_missing "sanitizers")
else()
  prefold_find_cuda()
  if(NOT prefold_cuda_missing)
    set(prefold_cuda TRUE)
  elseif(NOT PREFOLD_CUDA STREQUAL "AUTO")
    message(FATAL_ERROR "PREFOLD_CUDA=${PREFOLD_CUDA}, but ${prefold_cuda_missing}")
  endif()
endif()

if(NOT prefold_cuda)
  message(STATUS "CUDA engine: not built (${prefold_cuda_missing})")
else()
  # PTX only: the driver compiles it for the GPU at hand at the first start and keeps the result,
  # any GPU from 7.5 on is served, and the emulator reads nothing else. Machine code for three
  # architectures would double the time of every build; scripts/gpu_registers.py makes it, to see
  # that it can be made and what it uses. -DCMAKE_CUDA_ARCHITECTURES=80 gives both for one GPU.
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 75-virtual 80-virtual 90-virtual)
  endif()
  set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)
  enable_language(CUDA)
  if(NOT DEFINED CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 does not know of it yet
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  endif()
  set(CMAKE_CUDA_STANDARD 20)
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  set(CMAKE_CUDA_EXTENSIONS OFF)
  # RUNPATH, not RPATH: the folders of LD_LIBRARY_PATH come first, among them the emulator's.
  add_link_options(LINKER:--enable-new-dtags)
  message(STATUS
    "CUDA engine: built with CUDA ${CUDAToolkit_VERSION} for ${CMAKE_CUDA_ARCHITECTURES}")
endif()
