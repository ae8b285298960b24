/* cli/version.c - which program this is, for bug reports. Library versions are those it was built with. */
#include "cli/cli.h"

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

int cli_version(int argc, char **argv)
{
    struct text t = { 0 };
    text_printf(&t, "ollamamax %s\ncompiler: %s\nlibraries: %s\n", OLLAMAMAX_VERSION, COMPILER, BUILT_WITH);
#ifdef PLAIN_MEMORY
    text_put(&t, STR("memory: plain malloc (a build for tests)\n"));
#endif
    return cli_print(&t);
}
