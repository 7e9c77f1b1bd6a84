/* registry/toml.h - the part of TOML that registries.conf is written in (spec/oci.md 2.17).
 *
 * Data:   read into the same tree as JSON: tables are objects, arrays of tables are arrays of objects.
 * Fails:  ERR_HOST "file:line: ..." . Left out: dates, floats, multi-line strings.
 * Bounds: nesting 16; the caller bounds the text.
 */
#pragma once
#include "base/jdoc.h"

int toml_parse(struct slice text, const char *name, struct jval **ret, struct err **e);
