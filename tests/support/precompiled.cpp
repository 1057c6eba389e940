// Compiled for the precompiled header that every test reuses; see CMakeLists.txt.
