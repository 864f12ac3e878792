# Turn files into a C header of byte arrays: cmake -DOUT=web_data.h -DFILES=a.html;b.js -P embed.cmake
# For a.html: a_html_plain[], a_html_gzip[] (never larger), and a_html_tag, a hash of its content.

cmake_minimum_required(VERSION 3.25)
set(text "/* Made by src/web/embed.cmake. */\n#include <stdint.h>\n")

function(put_array name hex)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "(${row})" "\\1\n" bytes "${bytes}")
  set(text "${text}static const uint8_t ${name}[] = {\n${bytes}};\n" PARENT_SCOPE)
endfunction()

string(REPEAT "0x..," 18 row) # the bytes of one line

foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  string(MAKE_C_IDENTIFIER ${name} name)
  file(READ ${file} plain HEX)
  put_array(${name}_plain "${plain}")
  file(ARCHIVE_CREATE OUTPUT ${OUT}.gz PATHS ${file} FORMAT raw COMPRESSION GZip COMPRESSION_LEVEL 9)
  file(READ ${OUT}.gz packed HEX)
  file(REMOVE ${OUT}.gz)
  # bytes 4 to 7 are the time of packing: zero, so that equal sources make equal binaries
  string(SUBSTRING "${packed}" 0 8 start)
  string(SUBSTRING "${packed}" 16 -1 rest)
  set(packed "${start}00000000${rest}")
  put_array(${name}_gzip "${packed}")
  file(SHA256 ${file} hash)
  string(SUBSTRING ${hash} 0 20 hash)
  string(APPEND text "#define ${name}_tag \"${hash}\"\n")
endforeach()
file(WRITE ${OUT} "${text}")
