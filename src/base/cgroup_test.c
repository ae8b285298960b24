#include "base/cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* The hierarchies, as files under a temporary directory. */
static const struct {
    const char *path, *content; /* NULL: a directory */
} tree[] = {
    {"a",                                NULL             },
    { "a/b",                             NULL             },
    { "cpu.max",                         "max 100000\n"   },
    { "a/cpu.max",                       "250000 100000\n"},
    { "a/b/cpu.max",                     "max 100000\n"   },
    { "memory.max",                      "max\n"          },
    { "a/memory.max",                    "2000000\n"      },
    { "a/b/memory.max",                  "1000000\n"      },
    { "cpu,cpuacct",                     NULL             },
    { "cpu,cpuacct/x",                   NULL             },
    { "cpu,cpuacct/cpu.cfs_quota_us",    "-1\n"           },
    { "cpu,cpuacct/cpu.cfs_period_us",   "100000\n"       },
    { "cpu,cpuacct/x/cpu.cfs_quota_us",  "50000\n"        },
    { "cpu,cpuacct/x/cpu.cfs_period_us", "100000\n"       },
    { "memory",                          NULL             },
    { "memory/memory.limit_in_bytes",    "3000000\n"      },
};
static char root[] = "/tmp/ollamamax_cgroup_XXXXXX";

static const char *under_root(const char *path)
{
    static char whole[256];
    snprintf(whole, sizeof whole, "%s/%s", root, path);
    return whole;
}

static int begin(void **state)
{
    if (!mkdtemp(root))
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(tree); i++) {
        if (!tree[i].content) {
            mkdir(under_root(tree[i].path), 0700);
            continue;
        }
        FILE *f = fopen(under_root(tree[i].path), "w");
        if (!f)
            return -1;
        fputs(tree[i].content, f);
        fclose(f);
    }
    return 0;
}

static int end(void **state)
{
    for (size_t i = ARRAY_LEN(tree); i-- > 0;)
        remove(under_root(tree[i].path));
    return rmdir(root);
}

static void limits_of_memberships(void **state)
{
    static const struct {
        const char *membership;
        size_t centicores, memory;
    } rows[] = {
        {"0::/a/b\n",                                                    250,      1000000 },
        { "0::/a\n",                                                     250,      2000000 },
        { "0::/\n",                                                      SIZE_MAX, SIZE_MAX},
        { "0::/a/not/mounted/here\n",                                    250,      2000000 },
        { "0::/../outside\n",                                            SIZE_MAX, SIZE_MAX},
        { "5:cpu,cpuacct:/x\n4:memory:/docker/1234\n1:name=systemd:/\n", 50,       3000000 },
        { "5:cpu,cpuacct:/\n",                                           SIZE_MAX, SIZE_MAX},
        { "5:cpuset:/x\n",                                               SIZE_MAX, SIZE_MAX},
        { "5:cpu,cpuacct:/x\n0::/a\n",                                   50,       2000000 }, /* both versions at once: the tighter counts */
        { "",                                                            SIZE_MAX, SIZE_MAX},
        { "nonsense",                                                    SIZE_MAX, SIZE_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(cgroup_centicores(str_of(rows[i].membership), root), rows[i].centicores);
        assert_int_equal(cgroup_memory(str_of(rows[i].membership), root), rows[i].memory);
    }
}

static void small_files(void **state)
{
    char into[8];
    assert_true(str_eq(cgroup_small_file(under_root("memory.max"), into, sizeof into), STR("max\n")));
    assert_true(str_eq(cgroup_small_file(under_root("a/memory.max"), into, sizeof into), STR("2000000")));
    assert_int_equal(cgroup_small_file(under_root("none"), into, sizeof into).n, 0);
    assert_int_equal(into[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_of_memberships),
        cmocka_unit_test(small_files),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
