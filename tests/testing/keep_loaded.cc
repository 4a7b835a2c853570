// Preloaded into sanitized programs that use MPI: libraries stay loaded to the end, so that
// LeakSanitizer can tell by its name whose an allocation was (open_mpi_leaks.supp). Open MPI
// unloads its parts when it is finalized.

extern "C" int dlclose(void* /*handle*/) { return 0; }
