# What is installed beside the program and the layers: the data, find_package(Ridge), pkg-config, a .deb.
include(CMakePackageConfigHelpers)

# share/ridge has the places that the data has in this tree, so that every "$schema" still leads to
# its schema.
set(data "${CMAKE_INSTALL_DATADIR}/ridge")
foreach(folder IN LISTS RIDGE_DATA_FOLDERS)
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/${folder}/" DESTINATION "${data}/${folder}"
    FILES_MATCHING PATTERN "*.json" PATTERN "*.csv")
endforeach()
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" "${PROJECT_SOURCE_DIR}/README.md"
  DESTINATION "${CMAKE_INSTALL_DOCDIR}")

set(package "${CMAKE_INSTALL_LIBDIR}/cmake/Ridge")
install(EXPORT RidgeTargets NAMESPACE ridge:: DESTINATION "${package}")
configure_package_config_file("${PROJECT_SOURCE_DIR}/tools/cmake/RidgeConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/RidgeConfig.cmake" INSTALL_DESTINATION "${package}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/RidgeConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/RidgeConfig.cmake" "${PROJECT_BINARY_DIR}/RidgeConfigVersion.cmake"
  DESTINATION "${package}")

# A static linker wants whoever asks before whoever answers: the layers from the top.
get_property(layers GLOBAL PROPERTY RIDGE_LAYERS)
set(libraries)
foreach(layer IN LISTS layers)
  list(PREPEND libraries "-lridge_${layer}")
endforeach()
list(JOIN libraries " " libraries)
file(RELATIVE_PATH up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file("${PROJECT_SOURCE_DIR}/tools/cmake/ridge.pc.in" "${PROJECT_BINARY_DIR}/ridge.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/ridge.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "The maintainers of Ridge <maintainers@ridge.invalid>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_VERSION "${PROJECT_VERSION}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
find_program(RIDGE_SHLIBDEPS dpkg-shlibdeps)
if(RIDGE_SHLIBDEPS)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
else()
  message(STATUS "A Debian package made here will not name what it depends on: install dpkg-dev and configure again")
endif()
# For those who build against it.
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "libfmt-dev, nlohmann-json3-dev, libeigen3-dev, libboost-graph-dev, zlib1g-dev")
include(CPack)
