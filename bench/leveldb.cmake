# Read by CMake before LevelDB's own file: its test for this warning of Clang's also passes with some releases of GCC,
# which then refuse the option.
set(HAVE_CLANG_THREAD_SAFETY FALSE CACHE BOOL "" FORCE)
