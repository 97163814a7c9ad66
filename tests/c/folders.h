/* Folders as the tests need them, on POSIX and on Windows. Include it before anything else. */
#ifndef APL_TEST_FOLDERS_H
#define APL_TEST_FOLDERS_H

#ifdef _WIN32
#include <direct.h>
#include <io.h>

/* Its name ends with XXXXXX, which it fills in. */
static inline char *folder_new(char *name) {
  _mkdir("/tmp"); /* where it is missing */
  return _mktemp(name) != NULL && _mkdir(name) == 0 ? name : NULL;
}

static inline int folder_remove(const char *name) { return _rmdir(name); }

#else
#include <stdlib.h>
#include <unistd.h>

/* Its name ends with XXXXXX, which it fills in. */
static inline char *folder_new(char *name) { return mkdtemp(name); }

static inline int folder_remove(const char *name) { return rmdir(name); }
#endif

#endif
