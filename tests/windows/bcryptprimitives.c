/* Wine 8 has no bcryptprimitives.dll, from which Rust takes its randomness. For tests only. */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T size) {
  while (size != 0) {
    ULONG part = size > 65536 ? 65536 : (ULONG)size;
    if (!SystemFunction036(bytes, part)) return FALSE;
    bytes += part;
    size -= part;
  }
  return TRUE;
}
