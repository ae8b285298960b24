/* config/node_text.h - how people write a node: `gpu1:11434,weight=2,name=a`, or OLLAMA_HOST. */
#pragma once
#include "base/buf.h"
#include "fleet/node.h"

/* A node about which nothing was said. */
struct node_spec node_text_none(void);
/* One of url, name, weight, slots, max_inflight, vram, labels, kind. False with why it is wrong; strings are copied. */
bool node_text_set(struct node_spec *n, struct arena *a, struct str key, struct str value, struct text *why);
/* The whole of the form with commas. */
bool node_text_read(struct node_spec *n, struct arena *a, struct str text, struct text *why);
bool node_text_same_place_and_name(const struct node_spec *a, const struct node_spec *b);

/* OLLAMA_HOST as Ollama's own client reads it (envconfig.Host, ConnectableHost; ollama-api 4.6), as a URL: quotes and
 * blanks around it do not count, 0.0.0.0 and :: are this machine, a port that is none is the scheme's. Empty or unset
 * (NULL): localhost:11434. Empty when memory is out. */
struct str node_text_of_ollama_host(struct arena *a, const char *value);
