/* build/sshagent.h - an ssh agent of this build's own, with keys that --ssh names as files (spec/cli-flags.md 5).
 *
 * Data:   the programs ssh-agent and ssh-add. A shell beside the agent waits for this process to close a pipe, or to die, and ends it: no agent
 *         outlives the build. Keys go through a pipe, so what mode their file has is the user's business.
 * Fails:  ERR_HOST without the programs, ERR_LIMIT for a key that cannot be used.
 */
#pragma once
#include "build/req.h"

struct ssh_agent;
/* keys: paths. *ret_socket lives as long as the agent. */
int ssh_agent_start(struct app *a, char *const *keys, size_t n, const char **ret_socket, struct err **e);
void ssh_agents_end(struct app *a);
