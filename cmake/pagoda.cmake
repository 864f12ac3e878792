# Compiler flags shared by all targets, and the functions that declare a module, a test and a fuzz
# target.

set(PGD_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes
    -Wmissing-prototypes -Wvla -Walloca -Wformat=2)
if(CMAKE_C_COMPILER_ID STREQUAL "Clang")
  # part of -Wconversion from clang 18 on; integer constants are enums here, and exact as doubles
  list(APPEND PGD_WARNINGS -Wno-enum-float-conversion)
endif()
add_library(pgd_flags INTERFACE)
target_include_directories(pgd_flags INTERFACE ${CMAKE_SOURCE_DIR}/include)
target_compile_options(pgd_flags INTERFACE ${PGD_WARNINGS} -fno-strict-aliasing
    -ffp-contract=off -fstack-protector-strong)
# Checked libc calls and read-only relocations, as distributions build servers. Ubuntu's gcc turns the
# first on by itself, with the warnings that come with it: so every build sees them. It needs an
# optimiser, and the sanitizers replace the same calls.
target_link_options(pgd_flags INTERFACE -Wl,-z,relro -Wl,-z,now)
if(NOT PGD_SANITIZE)
  target_compile_options(pgd_flags INTERFACE
    $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE> $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>)
endif()
if(PGD_WERROR)
  target_compile_options(pgd_flags INTERFACE -Werror)
endif()
if(PGD_CHECKED)
  target_compile_definitions(pgd_flags INTERFACE PGD_CHECKED=1)
endif()
if(PGD_SANITIZE)
  target_compile_options(pgd_flags INTERFACE -fsanitize=${PGD_SANITIZE} -fno-omit-frame-pointer
      -fno-sanitize-recover=all)
  target_link_options(pgd_flags INTERFACE -fsanitize=${PGD_SANITIZE})
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND PGD_SANITIZE MATCHES "address")
    # gcc 13 looks for uses of a stack frame after its return by default, in frames aligned to 32
    # bytes, where AVX-512 locals need 64 (GCC bug 110027)
    target_compile_options(pgd_flags INTERFACE --param=asan-use-after-return=0)
  endif()
endif()
if(PGD_FUZZ)
  target_compile_options(pgd_flags INTERFACE -fsanitize=fuzzer-no-link)
  add_custom_target(fuzzers)
endif()

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

# pgd_module(<name> SOURCES a.c ... [DEPENDS base ...] [PACKAGES libuv ...])
# A static library pgd_<name>. DEPENDS names the modules it may include and link; PACKAGES names
# pkg-config modules, linked PRIVATE so that their headers do not leak.
function(pgd_module name)
  cmake_parse_arguments(M "" "" "SOURCES;DEPENDS;PACKAGES" ${ARGN})
  add_library(pgd_${name} STATIC ${M_SOURCES})
  target_link_libraries(pgd_${name} PRIVATE pgd_flags)
  foreach(dep ${M_DEPENDS})
    target_link_libraries(pgd_${name} PUBLIC pgd_${dep})
  endforeach()
  foreach(pkg ${M_PACKAGES})
    if(NOT TARGET PkgConfig::${pkg})
      pkg_check_modules(${pkg} REQUIRED IMPORTED_TARGET GLOBAL ${pkg})
    endif()
    target_link_libraries(pgd_${name} PRIVATE PkgConfig::${pkg})
  endforeach()
endfunction()

# pgd_test(<target> SOURCES test_x.c ... LINK module ... [ARGS ...] [LABELS ...])
# A CMocka program registered with ctest under its own name. It may include the private headers of
# the modules it links (their source folders are on its path).
function(pgd_test name)
  cmake_parse_arguments(T "" "" "SOURCES;LINK;ARGS;LABELS" ${ARGN})
  if(NOT TARGET PkgConfig::cmocka)
    pkg_check_modules(cmocka REQUIRED IMPORTED_TARGET GLOBAL cmocka)
  endif()
  add_executable(${name} ${T_SOURCES})
  target_link_libraries(${name} PRIVATE pgd_flags PkgConfig::cmocka)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/tests)
  target_compile_definitions(${name} PRIVATE PGD_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  foreach(dep ${T_LINK})
    target_link_libraries(${name} PRIVATE pgd_${dep})
  endforeach()
  add_test(NAME ${name} COMMAND ${name} ${T_ARGS})
  if(NOT T_LABELS)
    set(T_LABELS unit)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${T_LABELS}")
endfunction()

# pgd_fuzz(<name> SOURCES fuzz_x.c LINK module ...)
# Under PGD_FUZZ (preset fuzz, clang): a libFuzzer program fuzz_<name>, part of target `fuzzers`.
# In every other build: the same function as a test corpus_<name> that replays the seeds of
# tests/fuzz/corpus/<name>, so that what a fuzzer once found stays fixed.
function(pgd_fuzz name)
  cmake_parse_arguments(F "" "" "SOURCES;LINK" ${ARGN})
  set(target fuzz_${name})
  add_executable(${target} ${F_SOURCES})
  target_link_libraries(${target} PRIVATE pgd_flags)
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/src)
  foreach(dep ${F_LINK})
    target_link_libraries(${target} PRIVATE pgd_${dep})
  endforeach()
  if(PGD_FUZZ)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    add_dependencies(fuzzers ${target})
  else()
    target_sources(${target} PRIVATE ${CMAKE_SOURCE_DIR}/tests/fuzz/replay.c)
    add_test(NAME corpus_${name} COMMAND ${target} ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name})
    set_tests_properties(corpus_${name} PROPERTIES LABELS unit)
  endif()
endfunction()
