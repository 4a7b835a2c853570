// A shared library that has nothing to do with this program.

extern "C" int UnrelatedFunction() { return 0; }
