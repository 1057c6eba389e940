# Writes a source file that holds texts as string views: cmake -DOUTPUT=f.cpp -DNAMES=a;b -DFILES=x;y -P
# A file that is named NONE is empty.
set(text "#include \"web_files.hpp\"\n\nnamespace ridge::view::web {\n")
foreach(name file IN ZIP_LISTS NAMES FILES)
  set(contents "")
  if(NOT file STREQUAL "NONE")
    file(READ "${file}" contents)
  endif()
  string(APPEND text "const std::string_view ${name} = R\"embedded(${contents})embedded\";\n")
endforeach()
string(APPEND text "}  // namespace ridge::view::web\n")
file(WRITE "${OUTPUT}" "${text}")
