#!/bin/sh
# The headers compile everywhere, declare what the contract says, and the library exports exactly that.
# APL_LIB_DIR: where libapl.so is; default target/release.
set -u
cd "$(dirname "$0")/../.." || exit 1
lib=${APL_LIB_DIR:-target/release}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# check WHAT COMMAND...: one line, and the command's output where it fails.
check() {
  what=$1
  shift
  if "$@" >"$work/output" 2>&1; then
    passed=$((passed + 1))
    echo "ok      $what"
  else
    failed=$((failed + 1))
    echo "FAILED  $what"
    sed 's/^/        /' "$work/output"
  fi
}

strict="-Wall -Wextra -Wpedantic -Werror -fsyntax-only"

# Each header alone, and twice in one file.
for header in include/apl.h include/apl.hpp bindings/go/apl.h; do
  echo "#include \"$header\"" | tee "$work/alone.c" >"$work/alone.cpp"
  cat "$work/alone.c" "$work/alone.c" | tee "$work/twice.c" >"$work/twice.cpp"
  case $header in
    *.hpp) languages="c++11 c++17 c++20" ;;
    include/*) languages="c99 c11 c17 c2x c++11 c++17 c++20" ;;
    *) languages="c99 c11 c17 c2x" ;;
  esac
  for std in $languages; do
    case $std in
      c++*) compilers="g++ clang++" end=cpp more="" ;;
      *) compilers="gcc clang" end=c more="-Wstrict-prototypes" ;;
    esac
    for compiler in $compilers; do
      for times in alone twice; do
        check "$header $times, $compiler -std=$std" \
          "$compiler" -std=$std $strict $more -Iinclude -I. "$work/$times.$end"
      done
    done
  done
done

# The generated declarations against the contract's.
for compiler in gcc clang; do
  for header in include bindings/go; do
    check "$header/apl.h against the contract, $compiler" \
      "$compiler" -std=c11 $strict -I$header tests/abi/signatures.c
  done
  check "include/apl.h against the contract, $compiler, as C++" \
    "$compiler" -x c++ -std=c++17 $strict -Iinclude tests/abi/signatures.c
  check "the contract by itself, $compiler" "$compiler" -std=c11 $strict tests/abi/contract.h
done

# The library.
exported() { nm -D --defined-only "$lib/libapl.so" | awk '{ print $NF }' | LC_ALL=C sort | diff tests/abi/symbols.txt -; }
declared() { grep -o '\bapl_[a-z_0-9]*(' include/apl.h | tr -d '(' | LC_ALL=C sort -u | diff tests/abi/symbols.txt -; }
dynamic() { readelf -d "$lib/libapl.so" | grep -q "$1"; }
check "the header declares what symbols.txt lists" declared
check "the library exports what symbols.txt lists" exported
check "the SONAME is libapl.so.1" dynamic 'SONAME.*\[libapl\.so\.1\]'
# It is 9.7 MB.
small() { test "$(wc -c <"$lib/libapl.so")" -le 9900000; }
check "the library is no larger than 9.9 MB" small
check "the library stays once it is loaded" dynamic 'FLAGS.*NODELETE'

# The C++ classes, run.
run() {
  "$1" -std=$2 -Wall -Wextra -Wpedantic -Werror -Iinclude tests/abi/raii.cpp -o "$work/raii" \
    -L"$lib" -lapl -Wl,-rpath,"$(cd "$lib" && pwd)" && test "$("$work/raii")" = ok
}
for std in c++11 c++17 c++20; do
  check "the C++ classes, g++ -std=$std" run g++ $std
done
check "the C++ classes, clang++ -std=c++17" run clang++ c++17

echo "$passed passed, $failed failed"
test "$failed" = 0
