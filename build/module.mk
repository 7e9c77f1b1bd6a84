build_src := main.c opts.c req.c app.c wait.c work.c work_read.c work_caches.c limit.c over.c flight.c trees.c imagestore.c imagepull.c imageblobs.c imagepush.c treeout.c build.c plan.c \
             graph.c named.c allplatforms.c epoch.c title.c lintfrom.c lintcontext.c vars.c eval.c step.c sched.c sender.c result.c imageopts.c squash.c cgroup.c cgroup_leaf.c sshagent.c call.c check.c sarif.c
