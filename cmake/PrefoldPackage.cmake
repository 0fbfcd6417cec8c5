# What `cmake --install` installs, and the Debian package that `cpack` makes of it.
#
#   cmake --build build/release
#   cmake --install build/release --prefix ~/.local      # DESTDIR is heeded
#   cd build/release && cpack -D CPACK_PACKAGE_CONTACT="Jane Doe <jane@example.org>"
#                                                        # prefold_0.1.0-1_amd64.deb
include(GNUInstallDirs)

# The manual and the completions are what the program itself prints.
set(generated ${PROJECT_BINARY_DIR}/generated)
set(man_page ${generated}/prefold.1)
file(MAKE_DIRECTORY ${generated})
find_program(PREFOLD_GZIP gzip)
set(compress)
if(PREFOLD_GZIP)
  set(compress COMMAND ${PREFOLD_GZIP} -9nf ${man_page})
  string(APPEND man_page .gz)
endif()
add_custom_command(OUTPUT ${man_page} ${generated}/prefold ${generated}/_prefold
                          ${generated}/prefold.fish
  COMMAND prefold man > ${generated}/prefold.1
  ${compress}
  COMMAND prefold completions bash > ${generated}/prefold
  COMMAND prefold completions zsh > ${generated}/_prefold
  COMMAND prefold completions fish > ${generated}/prefold.fish
  DEPENDS prefold COMMENT "Manual page and shell completions" VERBATIM)
add_custom_target(manual ALL DEPENDS ${man_page})

# A program of the CUDA engine finds the toolkit that it was built with.
set_target_properties(prefold PROPERTIES INSTALL_RPATH_USE_LINK_PATH TRUE)
install(TARGETS prefold RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ${man_page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${generated}/prefold DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${generated}/_prefold DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
install(FILES ${generated}/prefold.fish
        DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(FILES README.md CHANGELOG.md docs/formats.md docs/cron.md cmake/package/copyright
        DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/examples DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The Debian package.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES TRUE)
set(CPACK_PACKAGE_VENDOR prefold)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "answer a file of prompts with a local language model")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Batch inference without a server: JSON lines in, JSON lines and a report out.
It sees the whole job before it starts, finds every prefix that prompts
share, computes each shared token once, and packs the rest into full steps.
Models are GGUF files or Hugging Face folders.")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION TRUE)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
if(prefold_cuda)
  # NVIDIA's packages, or a distribution's. cuBLAS is loaded at run time, where it is there.
  set(cuda "${CUDAToolkit_VERSION_MAJOR}")
  set(cuda_release "${cuda}-${CUDAToolkit_VERSION_MINOR}")
  set(CPACK_DEBIAN_PACKAGE_DEPENDS "cuda-cudart-${cuda_release} | libcudart${cuda}")
  set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "libcublas-${cuda_release} | libcublas${cuda}")
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "${CUDAToolkit_LIBRARY_DIR}")
endif()
configure_file(cmake/package/debian.cmake.in ${PROJECT_BINARY_DIR}/package-debian.cmake @ONLY)
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_BINARY_DIR}/package-debian.cmake)
include(CPack)
