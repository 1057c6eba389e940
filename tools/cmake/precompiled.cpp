// Compiled for the precompiled header that cold code reuses; see CMakeLists.txt.
