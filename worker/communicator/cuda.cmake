# Looks for the CUDA toolkit and NCCL, as DCN_ENABLE_CUDA says. Sets DCN_WITH_CUDA, and makes the
# target dcn_cuda_and_nccl and the language CUDA where both are there.
#
# NCCL is one header and one library, in a package of the distribution, in NVIDIA's archive, or in
# the wheel nvidia-nccl-cu13 of PyPI, which has the library as libnccl.so.2 only.
set(DCN_WITH_CUDA OFF)
if(DCN_ENABLE_CUDA STREQUAL "OFF")
  message(STATUS "CUDA: not used (DCN_ENABLE_CUDA=OFF)")
  return()
endif()

set(missing "")
find_package(CUDAToolkit QUIET)
if(NOT CUDAToolkit_FOUND)
  list(APPEND missing "the CUDA toolkit (-DCUDAToolkit_ROOT=…)")
elseif(NOT CUDAToolkit_NVCC_EXECUTABLE)
  list(APPEND missing "nvcc, of the CUDA toolkit in ${CUDAToolkit_BIN_DIR}")
endif()
find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${NCCL_ROOT} ENV NCCL_ROOT PATH_SUFFIXES include)
find_library(NCCL_LIBRARY NAMES nccl libnccl.so.2 HINTS ${NCCL_ROOT} ENV NCCL_ROOT
  PATH_SUFFIXES lib lib64)
if(NOT NCCL_INCLUDE_DIR)
  list(APPEND missing "NCCL's header nccl.h (-DNCCL_ROOT=…)")
endif()
if(NOT NCCL_LIBRARY)
  list(APPEND missing "NCCL's library libnccl.so (-DNCCL_ROOT=…)")
endif()

if(NOT missing)
  if(NOT DEFINED ENV{CUDACXX})
    set(ENV{CUDACXX} ${CUDAToolkit_NVCC_EXECUTABLE})
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  if(NOT CMAKE_CUDA_COMPILER)
    list(APPEND missing "an nvcc that works here ($ENV{CUDACXX} does not)")
  endif()
endif()

if(missing)
  list(JOIN missing "; " missing)
  if(DCN_ENABLE_CUDA STREQUAL "ON")
    message(FATAL_ERROR "DCN_ENABLE_CUDA=ON, but this was not found: ${missing}")
  endif()
  message(STATUS "CUDA: not used, for want of: ${missing}")
  return()
endif()

if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES all-major)
endif()
# Of the kernels; CMake 3.25 knows no later one for nvcc.
set(CMAKE_CUDA_STANDARD 17)
enable_language(CUDA)
add_library(dcn_cuda_and_nccl INTERFACE)
target_include_directories(dcn_cuda_and_nccl SYSTEM INTERFACE ${NCCL_INCLUDE_DIR})
target_link_libraries(dcn_cuda_and_nccl INTERFACE CUDA::cudart ${NCCL_LIBRARY})
set(DCN_WITH_CUDA ON)
message(STATUS "CUDA: ${CUDAToolkit_VERSION} (${CUDAToolkit_BIN_DIR}), NCCL ${NCCL_LIBRARY}")
