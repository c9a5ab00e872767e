include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  if(PYREDUND_CUDA STREQUAL "ON")
    message(FATAL_ERROR "PYREDUND_CUDA=ON, but no CUDA compiler was found: put nvcc on PATH or set CUDACXX")
  endif()
  message(STATUS "pyredund: no CUDA compiler was found, so the module _cuda is not built")
  return()
endif()
set(CMAKE_CUDA_ARCHITECTURES OFF)  # ours are spelled out below: only those that this compiler knows
enable_language(CUDA)

execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --list-gpu-arch OUTPUT_VARIABLE known_architectures)
set(architecture_flags "")
foreach(architecture IN LISTS PYREDUND_CUDA_ARCHITECTURES)
  string(REGEX REPLACE "[a-z]" "" plain_architecture ${architecture})
  if(known_architectures MATCHES "compute_${plain_architecture}\n")
    list(APPEND architecture_flags "SHELL:-gencode arch=compute_${architecture},code=sm_${architecture}")
    set(newest ${plain_architecture})
  endif()
endforeach()
# Intermediate code of the newest: GPUs that are newer still translate it when the module is first used.
list(APPEND architecture_flags "SHELL:-gencode arch=compute_${newest},code=compute_${newest}")
message(STATUS "pyredund: CUDA ${CMAKE_CUDA_COMPILER_VERSION} builds the module _cuda, up to sm_${newest}")

add_library(cuda_kernels OBJECT
  csrc/cuda/identical_rows.cu
  csrc/cuda/insertion.cu
  csrc/cuda/pair_scores.cu
  csrc/cuda/plain_knn.cu
  csrc/cuda/removal.cu
  csrc/cuda/settle.cu
  csrc/cuda/tile_scan.cu
  csrc/cuda/unit_rows.cu)
set_target_properties(cuda_kernels PROPERTIES POSITION_INDEPENDENT_CODE ON CUDA_STANDARD 17
                      CUDA_STANDARD_REQUIRED ON CUDA_VISIBILITY_PRESET hidden)
target_include_directories(cuda_kernels PRIVATE csrc)
# Products and sums that must round one by one are written as such: no fast-math, and no flag that allows it.
target_compile_options(cuda_kernels PRIVATE ${architecture_flags} "SHELL:-Xcompiler -Wall,-Wextra" --Werror all-warnings)

pybind11_add_module(_cuda MODULE
  csrc/cuda_module.cpp
  csrc/interruptible.cpp
  csrc/thread_team.cpp
  csrc/cuda/device.cpp
  csrc/cuda/device_units.cpp
  csrc/cuda/download.cpp
  csrc/cuda/knn_graph.cpp
  csrc/cuda/memory.cpp
  csrc/cuda/pair_search.cpp
  csrc/cuda/radius_graph.cpp
  csrc/cuda/tensor_knn.cpp
  $<TARGET_OBJECTS:cuda_kernels>)
find_package(CUDAToolkit REQUIRED)
set_target_properties(_cuda PROPERTIES CUDA_RUNTIME_LIBRARY Static)
target_link_libraries(_cuda PRIVATE pyredund_options Threads::Threads CUDA::cudart_static)
install(TARGETS _cuda DESTINATION pyredund)
