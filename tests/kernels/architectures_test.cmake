# Whether every source of device code for all chips was compiled for each of them, by what ptxas reported of it
# (kernels/cmake/ptxas_gate.sh, which also refuses spills).
file(GLOB_RECURSE reports "${OBJECTS}/*.cu.o.ptxas.log")
# Those of Hopper alone aside, and of host code, which an older build of this folder may have left.
list(FILTER reports EXCLUDE REGEX "\\.(sm90a|host)\\.cu\\.o\\.ptxas\\.log$")
if(NOT reports)
  message(FATAL_ERROR "no reports of ptxas under ${OBJECTS}")
endif()
foreach(report IN LISTS reports)
  file(READ "${report}" text)
  foreach(chip 80 86 89 90 100 120)
    if(NOT text MATCHES "for 'sm_${chip}'")
      message(SEND_ERROR "${report}: nothing was compiled for sm_${chip}")
    endif()
  endforeach()
endforeach()
