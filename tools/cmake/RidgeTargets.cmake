# How this project declares its targets: a layer, a test, a benchmark.

# What is installed as data, by its place in the tree.
set(RIDGE_DATA_FOLDERS models/data hwmodels/data scenarios docs/schema)

option(RIDGE_WERROR "Treat warnings as errors" OFF)

add_library(ridge_options INTERFACE)
target_compile_features(ridge_options INTERFACE cxx_std_20)
target_compile_options(ridge_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast>
  # Designated initializers leave the other members at their defaults on purpose.
  $<$<COMPILE_LANGUAGE:CXX>:-Wno-missing-field-initializers>
  # GCC 12 sees overlaps in std::string concatenation that are not there (GCC bug 105329).
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-restrict>
  # Where several sources are compiled as one (CMAKE_UNITY_BUILD), the names of a file are no header's.
  $<$<AND:$<BOOL:${CMAKE_UNITY_BUILD}>,$<COMPILE_LANG_AND_ID:CXX,GNU>>:-Wno-subobject-linkage>
  # Contraction into fused multiply-adds differs between build types and machines; reports
  # must not.
  $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>
  # GCC frees what it no longer needs whenever its heap has doubled from 128 MiB, and comes to a tenth of its time;
  # the largest unit here takes 1.25 GB where it begins to at 1 GiB, and 1.0 GB without this.
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:SHELL:--param ggc-min-heapsize=1048576>
  # Nobody replaces our functions at run time; GCC may inline them as if they were not in a library.
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-fno-semantic-interposition>
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${RIDGE_WERROR}>>:-Werror>)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
set(CMAKE_CXX_EXTENSIONS OFF)

# What makes developing quick where it is there: a fast linker, and a cache of what was compiled before.
find_program(RIDGE_MOLD mold)
if(RIDGE_MOLD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_link_options($<$<LINK_LANGUAGE:CXX>:-fuse-ld=mold>)
endif()
find_program(RIDGE_CCACHE ccache)
if(RIDGE_CCACHE AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  # Unless told that it may, ccache leaves alone whatever uses a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env
    CCACHE_SLOPPINESS=pch_defines,time_macros "${RIDGE_CCACHE}")
endif()

# What a compiler reads of a source here is mostly headers of the standard library, nlohmann/json and fmt,
# which come precompiled: once for the layers, and once for cold code, that reads, asks and renders once per
# answer, and in which nobody waits. Position-independent all, since a precompiled header serves only code of
# its own kind.
add_library(ridge_layer_options INTERFACE)
target_compile_options(ridge_layer_options INTERFACE -fPIC $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
target_link_libraries(ridge_layer_options INTERFACE ridge_options)
add_library(ridge_cold_options INTERFACE)
target_compile_options(ridge_cold_options INTERFACE "$<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CONFIG:Release>>:-O1>")
target_link_libraries(ridge_cold_options INTERFACE ridge_layer_options)

# The layers that know no scenario yet: where their suites shall run under AddressSanitizer and
# UndefinedBehaviorSanitizer, they are compiled once more, lowest first. -Og compiles a tenth longer than -O0 and
# runs two to five times as fast; the suites themselves, more to compile than to run, do with -O0. Not looked for is
# what the other sanitizer or the processor finds as well (null, object-size), and what only takes time here.
option(RIDGE_SANITIZED_TESTS "Run the suites of some layers compiled with sanitizers" OFF)
set(ridge_sanitized_layers base view models hwmodels des net decode)
set(sanitizers -fsanitize=address,undefined -fno-sanitize=null,alignment,vptr,object-size -fno-sanitize-recover=all)
function(ridge_sanitized options level)
  add_library(${options} INTERFACE)
  target_compile_options(${options} INTERFACE ${level} -g1 -UNDEBUG ${sanitizers})
  target_link_options(${options} INTERFACE ${sanitizers})
  target_link_libraries(${options} INTERFACE ridge_layer_options)
endfunction()
ridge_sanitized(ridge_sanitized_options -Og)
ridge_sanitized(ridge_sanitized_test_options -O0)

foreach(kind layer cold sanitized)
  # Only its precompiled header is of use; a target with a source is what can have one.
  add_library(ridge_${kind}_headers OBJECT EXCLUDE_FROM_ALL "${CMAKE_CURRENT_LIST_DIR}/precompiled.cpp")
  target_precompile_headers(ridge_${kind}_headers PRIVATE <algorithm> <cmath> <filesystem> <fstream> <functional>
    <map> <memory> <optional> <sstream> <string> <string_view> <vector> <fmt/format.h> <nlohmann/json.hpp>)
  target_link_libraries(ridge_${kind}_headers PRIVATE fmt::fmt nlohmann_json::nlohmann_json ridge_${kind}_options)
endforeach()

# ridge_cold(<target>): compiles the target as cold code.
function(ridge_cold target)
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:ridge_cold_options>)
  target_precompile_headers(${target} REUSE_FROM ridge_cold_headers)
endfunction()

# ridge_layer(<name> [COLD] [SOURCES ...] [COLD_SOURCES ...] [DEPENDS <layer>...] [LIBRARIES <target>...]
#             [PRIVATE_LIBRARIES <target>...])
#
# Declares the static library ridge_<name> (alias ridge::<name>) whose public headers live in
# include/ and whose sources live in src/, COLD_SOURCES compiled as cold code. DEPENDS names the lower layers it may
# include.
function(ridge_layer name)
  cmake_parse_arguments(ARG "COLD" "" "SOURCES;COLD_SOURCES;DEPENDS;LIBRARIES;PRIVATE_LIBRARIES" ${ARGN})
  add_library(ridge_${name} STATIC ${ARG_SOURCES})
  add_library(ridge::${name} ALIAS ridge_${name})
  target_include_directories(ridge_${name}
    PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include> PRIVATE src)
  foreach(layer IN LISTS ARG_DEPENDS)
    target_link_libraries(ridge_${name} PUBLIC ridge::${layer})
  endforeach()
  target_link_libraries(ridge_${name}
    PUBLIC ${ARG_LIBRARIES}
    PRIVATE ${ARG_PRIVATE_LIBRARIES})
  if(ARG_COLD)
    ridge_cold(ridge_${name})
  else()
    target_link_libraries(ridge_${name} PRIVATE $<BUILD_INTERFACE:ridge_layer_options>)
    target_precompile_headers(ridge_${name} REUSE_FROM ridge_layer_headers)
  endif()
  list(TRANSFORM ARG_DEPENDS PREPEND "ridge::" OUTPUT_VARIABLE below)
  if(ARG_COLD_SOURCES)
    add_library(ridge_${name}_cold OBJECT ${ARG_COLD_SOURCES})
    target_include_directories(ridge_${name}_cold PRIVATE include src)
    target_link_libraries(ridge_${name}_cold PRIVATE ${ARG_LIBRARIES} ${ARG_PRIVATE_LIBRARIES} ${below})
    ridge_cold(ridge_${name}_cold)
    target_sources(ridge_${name} PRIVATE $<TARGET_OBJECTS:ridge_${name}_cold>)
  endif()
  if(RIDGE_SANITIZED_TESTS AND name IN_LIST ridge_sanitized_layers)
    add_library(ridge_${name}_sanitized OBJECT EXCLUDE_FROM_ALL ${ARG_SOURCES} ${ARG_COLD_SOURCES})
    target_include_directories(ridge_${name}_sanitized PRIVATE include src)
    target_compile_definitions(ridge_${name}_sanitized PRIVATE $<TARGET_PROPERTY:ridge_${name},COMPILE_DEFINITIONS>)
    target_link_libraries(ridge_${name}_sanitized PRIVATE ${ARG_LIBRARIES} ${ARG_PRIVATE_LIBRARIES}
      ridge_sanitized_options)
    target_link_libraries(ridge_${name}_sanitized PRIVATE ${below})
    target_precompile_headers(ridge_${name}_sanitized REUSE_FROM ridge_sanitized_headers)
  endif()
  target_compile_features(ridge_${name} PUBLIC cxx_std_20)
  # The layers also become part of a Python module.
  set_target_properties(ridge_${name} PROPERTIES EXPORT_NAME ${name} POSITION_INDEPENDENT_CODE ON)
  install(TARGETS ridge_${name} EXPORT RidgeTargets INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
  install(DIRECTORY include/ DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
  set_property(GLOBAL APPEND PROPERTY RIDGE_LAYERS ${name})
endfunction()

# How tests are compiled: that takes longer than what they do themselves, but for targets with RIDGE_OPTIMIZED.
add_library(ridge_test_options INTERFACE)
target_compile_options(ridge_test_options INTERFACE
  $<IF:$<BOOL:$<TARGET_PROPERTY:RIDGE_OPTIMIZED>>,-O1,-O0> $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
target_link_libraries(ridge_test_options INTERFACE ridge_options)

# ridge_objects(<variable> <target>...): the objects of these static libraries and of those they use, lowest first.
function(ridge_objects variable)
  set(objects)
  foreach(library IN LISTS ARGN)
    if(NOT TARGET "${library}")
      continue()
    endif()
    get_target_property(type "${library}" TYPE)
    get_target_property(imported "${library}" IMPORTED)
    if(imported OR NOT type STREQUAL "STATIC_LIBRARY")
      continue()
    endif()
    get_target_property(below "${library}" INTERFACE_LINK_LIBRARIES)
    ridge_objects(objects_below ${below})
    list(APPEND objects ${objects_below} $<TARGET_OBJECTS:${library}>)
    string(REPLACE "ridge::" "ridge_" cold "${library}_cold")
    if(TARGET ${cold})
      list(APPEND objects $<TARGET_OBJECTS:${cold}>)
    endif()
  endforeach()
  list(REMOVE_DUPLICATES objects)
  set(${variable} "${objects}" PARENT_SCOPE)
endfunction()

# ridge_test(<name> [UNIT] [TOGETHER <filter>] SOURCES ... LIBRARIES ...)
#
# A GoogleTest executable ridge_test_<name>, its cases registered with CTest one by one, or as one where they run
# with sanitizers. The headers of GoogleTest and nlohmann/json, most of what a test has to read, come precompiled
# (tests/support). The suites of the layers that know no scenario yet are UNIT tests: the target `unit` builds them
# all, the label picks them. Cases that look at one thing which takes seconds to compute run TOGETHER, in one process.
function(ridge_test name)
  cmake_parse_arguments(ARG "UNIT" "TOGETHER" "SOURCES;LIBRARIES" ${ARGN})
  # Of a function that a library and its tests instantiate, the linker takes the first: the library's, as it is
  # compiled for everyone. From archives it would come second, and some suites run up to three times as long.
  ridge_objects(objects ${ARG_LIBRARIES})
  add_executable(ridge_test_${name} ${ARG_SOURCES} ${objects})
  target_link_libraries(ridge_test_${name} PRIVATE ${ARG_LIBRARIES} ridge_test_support GTest::gtest
    GTest::gmock GTest::gtest_main ridge_test_options)
  target_precompile_headers(ridge_test_${name} REUSE_FROM ridge_test_headers)
  set(run ridge_test_${name})
  set(label "")
  if(ARG_UNIT)
    set(label LABELS unit)
  endif()
  if(RIDGE_SANITIZED_TESTS AND name IN_LIST ridge_sanitized_layers)
    set(run ridge_test_${name}_sanitized)
    set(label LABELS sanitized)
    # Its layer's objects and those of the ones below come before the archives, which then have nothing to add.
    set(objects)
    foreach(layer IN LISTS ridge_sanitized_layers)
      list(APPEND objects $<TARGET_OBJECTS:ridge_${layer}_sanitized>)
      if(layer STREQUAL name)
        break()
      endif()
    endforeach()
    add_executable(${run} ${ARG_SOURCES} ${objects})
    target_include_directories(${run} PRIVATE $<TARGET_PROPERTY:ridge_test_${name},INCLUDE_DIRECTORIES>)
    target_link_libraries(${run} PRIVATE ${ARG_LIBRARIES} ridge_test_support GTest::gtest GTest::gmock
      GTest::gtest_main ridge_sanitized_test_options)
    target_precompile_headers(${run} REUSE_FROM ridge_sanitized_test_headers)
    set_target_properties(ridge_test_${name} PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
  if(ARG_UNIT)
    add_dependencies(unit ${run})
  endif()
  # Properties draw the same cases on every run; RC_PARAMS="seed=N max_success=M" tries others by hand.
  # Whose machine it is, and what parts they have of their own, is no matter.
  set(properties TIMEOUT 600 ${label} ENVIRONMENT "RC_PARAMS=seed=20250725"
    ENVIRONMENT_MODIFICATION "XDG_CONFIG_HOME=set:${PROJECT_BINARY_DIR}/no-own-library")
  if(RIDGE_SANITIZED_TESTS AND name IN_LIST ridge_sanitized_layers)
    # All cases in one process: with sanitizers, what begins before the first takes longer than most of them.
    add_test(NAME Sanitized.${name} COMMAND ${run} --gtest_brief=1)
    # Of where memory was allocated two frames are kept and not thirty, which take a sixth of the time; whoever hunts
    # a mistake runs the suite by itself.
    set_tests_properties(Sanitized.${name} PROPERTIES ${properties} COST 500)
    set_property(TEST Sanitized.${name} APPEND PROPERTY ENVIRONMENT_MODIFICATION
      "ASAN_OPTIONS=string_append::malloc_context_size=2")
    return()
  endif()
  set(apart "")
  if(ARG_TOGETHER)
    set(apart TEST_FILTER "-${ARG_TOGETHER}")
    add_test(NAME ${name}.Together COMMAND ${run} "--gtest_filter=${ARG_TOGETHER}")
    set_tests_properties(${name}.Together PROPERTIES ${properties} COST 300)
  endif()
  gtest_discover_tests(${run} ${apart} NO_PRETTY_VALUES DISCOVERY_TIMEOUT 120 PROPERTIES ${properties})
endfunction()

# ridge_benchmark(<name> SOURCES ... LIBRARIES ...): a Google Benchmark executable.
function(ridge_benchmark name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(ridge_bench_${name} ${ARG_SOURCES})
  target_link_libraries(ridge_bench_${name} PRIVATE ${ARG_LIBRARIES} benchmark::benchmark
    benchmark::benchmark_main ridge_options)
endfunction()
