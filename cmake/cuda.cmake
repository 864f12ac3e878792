# The CUDA backend: found or left out, never required.
#   PGD_CUDA        AUTO (built when nvcc is found; the default of a Release build), ON (an error
#                   without it), OFF (the default of other builds)
#   PGD_CUDA_ARCHS  compute capabilities to build for
# Sets PGD_CUDA_FOUND.
set(pgd_cuda_default OFF)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  set(pgd_cuda_default AUTO)
endif()
set(PGD_CUDA ${pgd_cuda_default} CACHE STRING "CUDA backend: AUTO, ON or OFF")
set(PGD_CUDA_ARCHS 90a CACHE STRING "Compute capabilities the kernels are built for")

set(PGD_CUDA_FOUND OFF)
if(NOT PGD_CUDA STREQUAL "OFF")
  find_program(PGD_NVCC nvcc HINTS ENV CUDA_HOME PATHS /usr/local/cuda/bin PATH_SUFFIXES bin)
  if(PGD_NVCC)
    if(NOT CMAKE_CUDA_COMPILER)
      set(CMAKE_CUDA_COMPILER ${PGD_NVCC})
    endif()
    set(CMAKE_CUDA_ARCHITECTURES ${PGD_CUDA_ARCHS})
    enable_language(CUDA)
    set(PGD_CUDA_FOUND ON)
  elseif(PGD_CUDA STREQUAL "ON")
    message(FATAL_ERROR "PGD_CUDA is ON, but no nvcc was found: put it on PATH or set CUDA_HOME")
  endif()
endif()
