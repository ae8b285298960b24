/* api/aliases.h - names that stand for models: what a client asks for -> what nodes are asked for.
 *
 *     gpt-4o: qwen3:8b        one name, in any of its spellings (GPT-4o, gpt-4o:latest)
 *     claude-*: qwen3:32b     any name with this beginning and end, in any case; `*` stands for anything, also nothing
 *
 * A name beats a pattern, and of patterns the one with the longer beginning wins, then the one with the longer end.
 * What an alias stands for may itself be an alias by name, though not by pattern: a pattern is for names that clients
 * bring along. An alias for itself (`qwen3:8b: qwen3:8b`) keeps a name from patterns. Made once from the configuration,
 * immutable; any worker asks. */
#pragma once
#include "api/name.h"
#include "base/buf.h"

struct alias {
    struct str name, model; /* as written */
};
#define ALIASES_MAX 1000
/* May this one join the n? False, with *why ("..." after the alias itself): a bad name, there already, a loop. Each of
 * the n has been asked so before. */
bool aliases_may_add(const struct alias *v, unsigned n, const struct alias *next, struct text *why);

struct aliases;
/* Aliases that have all passed aliases_may_add, in the arena; NULL when memory is out. */
struct aliases *aliases_new(struct arena *a, const struct alias *v, unsigned n);
/* The model that the name stands for; empty if it is no alias. Chains are followed. `aliases` NULL: there are none. */
struct str aliases_resolve(const struct aliases *aliases, struct str name);
