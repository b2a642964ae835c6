/* SPDX-License-Identifier: Apache-2.0 */
/* Both sides of a hand-over to a new process. */
#include "proxy/handover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "proxy/notify.h"
#include "proxy/run.h"
#include "proxy/tls_server.h"
#include "proxy/tls_tickets.h"

/* For the last resort: nobody else is left to serve. */
#define LAST_MS 60000
#define ARGUMENTS_MAX 256
#define OWN_IMAGE "/proc/self/exe"	/* also when the file was replaced */

/* ---- starting the new process ---- */

/* The words this process was started with. */
static int
read_arguments(struct buf *text, char *argv[ARGUMENTS_MAX + 1])
{
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC), n = 0;
	char block[4096], *at, *end;
	ssize_t got;

	if (fd < 0)
		return -1;
	while ((got = read(fd, block, sizeof(block))) > 0)
		buf_add(text, block, (size_t)got);
	close(fd);
	at = (char *)buf_str(text);
	end = at + buf_span(text).len;
	for (; at < end && n < ARGUMENTS_MAX; at += strlen(at) + 1)
		argv[n++] = at;
	argv[n] = NULL;
	return n > 0 && at >= end ? 0 : -1;
}

/* Libraries do not mark all of their descriptors close-on-exec; what the new
 * process inherited unknowingly would pile up with each hand-over. */
static void
mark_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *e;

	while (dir && (e = readdir(dir)) != NULL) {
		int fd = (int)strtol(e->d_name, NULL, 10);

		if (fd > STDERR_FILENO)
			(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	}
	if (dir)
		closedir(dir);
}

/* The environment with one variable more. */
static char **
make_environment(const char *variable)
{
	size_t n = 0;
	char **env;

	while (environ[n])
		n++;
	env = calloc(n + 2, sizeof(*env));
	if (!env)
		return NULL;
	memcpy(env, environ, n * sizeof(*env));
	env[n] = (char *)variable;
	return env;
}

/* All sockets by number: a duplicate onto itself only loses its
 * close-on-exec flag. */
static int
list_sockets(const struct run *r, int parent, struct buf *variable,
	     posix_spawn_file_actions_t *actions)
{
	unsigned i, k;
	int e = posix_spawn_file_actions_adddup2(actions, parent, parent);

	inherit_begin(variable, parent);
	for (i = 0; i < r->listen_count; i++) {
		const struct listen_address *a = &r->listen[i];

		for (k = 0; k < a->fd_count; k++) {
			e = e ? e : posix_spawn_file_actions_adddup2(
					    actions, a->fds[k], a->fds[k]);
			inherit_add(variable, a->fds[k], a->name);
		}
	}
	return e;
}

static int
spawn(const struct run *r, const char *program, int parent, pid_t *child)
{
	struct buf text CLEANUP(buf_fini) = { 0 };
	struct buf variable CLEANUP(buf_fini) = { 0 };
	char *argv[ARGUMENTS_MAX + 1], **env;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, pipe;
	int e;

	if (read_arguments(&text, argv))
		return E2BIG;
	mark_descriptors();
	sigemptyset(&none);
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &pipe);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	e = list_sockets(r, parent, &variable, &actions);
	env = make_environment(buf_str(&variable));
	if (!e)
		e = env ? posix_spawnp(child, program ? program : argv[0],
				       &actions, &attr, argv, env) :
			  ENOMEM;
	free(env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return e;
}

int
handover_start(struct run *r, const char *program, struct error *err)
{
	struct handover *h = &r->handover;
	int pair[2], e;

	if (h->child)
		return error_set(err, "process %d is already starting",
				 (int)h->child);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return error_set(err, "socketpair: %s", strerror(errno));
	e = spawn(r, program, pair[1], &h->child);
	close(pair[1]);
	if (e) {
		close(pair[0]);
		h->child = 0;
		return error_set(err, "cannot start a new process: %s",
				 strerror(e));
	}
	h->socket = pair[0];
	h->deadline_ms = clock_mono_ms() + r->settings->handover_start_ms;
	log_info("run.handover", "process %d prepares to take over",
		 (int)h->child);
	return 0;
}

static void
forget(struct handover *h)
{
	close(h->socket);
	h->socket = -1;
	h->child = 0;
}

void
handover_cancel(struct run *r)
{
	struct handover *h = &r->handover;

	if (!h->child)
		return;
	(void)kill(h->child, SIGKILL);
	(void)waitpid(h->child, NULL, 0);
	forget(h);
}

/* It closed its end: it is dying or dead. */
static void
report_failure(struct run *r)
{
	struct handover *h = &r->handover;
	int status = 0;
	pid_t child = h->child;

	(void)kill(child, SIGKILL);
	(void)waitpid(child, &status, 0);
	forget(h);
	log_error("run.handover-failed", "process %d did not take over: it "
		  "ended with %s %d; its own messages say why", (int)child,
		  WIFEXITED(status) ? "status" : "signal",
		  WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

enum handover_heard
handover_hear(struct run *r, enum handover_word word, int wait_ms)
{
	struct handover *h = &r->handover;
	struct pollfd fd = { .fd = h->socket, .events = POLLIN };
	char said = 0;

	if (!h->child)
		return HANDOVER_FAILED;
	if (poll(&fd, 1, wait_ms) <= 0)
		return HANDOVER_NOTHING;
	if (recv(h->socket, &said, 1, MSG_DONTWAIT) == 1 &&
	    said == (char)word)
		return HANDOVER_WORD;
	report_failure(r);
	return HANDOVER_FAILED;
}

/* ---- the old process's way out ---- */

/* A second signal, or the time, ends the wait. */
static bool
wait_workers(struct run *r, int signals, atomic_uint *count,
	     uint64_t deadline_ms)
{
	while (atomic_load(count) < r->workers_started &&
	       clock_mono_ms() < deadline_ms)
		if (run_wait_signal(r, signals, 5))
			return false;
	return true;
}

static void
stop_accepting(struct run *r)
{
	unsigned i;

	__atomic_store_n(&r->serving, false, __ATOMIC_RELEASE);
	atomic_store(&r->proxy.handing_over, true);
	atomic_store(&r->proxy.stopping, true);
	for (i = 0; i < r->workers_started; i++)
		worker_wake(&r->workers[i]);
}

/* One writer: before the new process opens the journal, every worker has
 * let go of it. */
static void
release_journal(struct run *r)
{
	unsigned i;

	atomic_store(&r->proxy.detaching, true);
	for (i = 0; i < r->workers_started; i++)
		worker_wake(&r->workers[i]);
	while (atomic_load(&r->proxy.workers_detached) < r->workers_started)
		(void)poll(NULL, 0, 1);
	run_stop_journal(r);
}

static void
say(int fd, enum handover_word word)
{
	char c = (char)word;

	(void)send(fd, &c, 1, MSG_NOSIGNAL);
}

/* One message: the keys are there when the word is read. */
static void
let_go(struct run *r)
{
	char message[1 + TLS_TICKETS_BYTES] = { HANDOVER_GO };
	size_t n = 1;

	if (r->proxy.tls)
		n += tls_server_save_tickets(r->proxy.tls, message + 1);
	(void)send(r->handover.socket, message, n, MSG_NOSIGNAL);
	OPENSSL_cleanse(message, sizeof(message));
}

/* handover_hear, for so long and while nobody wants this process to stop. */
enum answer { ANSWER_WORD, ANSWER_NONE, ANSWER_STOP };

static enum answer
await_word(struct run *r, int signals, enum handover_word word, int wait_ms)
{
	uint64_t now = clock_mono_ms(), end = now + (uint64_t)wait_ms;

	for (; now < end && r->handover.child; now = clock_mono_ms()) {
		struct pollfd fds[2] = {
			{ .fd = r->handover.socket, .events = POLLIN },
			{ .fd = signals, .events = POLLIN },
		};

		(void)poll(fds, 2, (int)(end - now));
		if (run_wait_signal(r, signals, 0))
			return ANSWER_STOP;
		if (handover_hear(r, word, 0) == HANDOVER_WORD)
			return ANSWER_WORD;
	}
	return ANSWER_NONE;
}

/* The new one has failed late, with the journal closed here: what was
 * running until now is started again, it was able to serve. */
static enum answer
start_again(struct run *r, int signals)
{
	enum answer ready;
	struct error err = { 0 };

	if (r->handover.child)
		log_error("run.handover-failed", "process %d was given the "
			  "sockets and does not serve in time: it is ended, "
			  "the old version starts again",
			  (int)r->handover.child);
	handover_cancel(r);
	if (handover_start(r, OWN_IMAGE, &err)) {
		log_error("run.handover-failed", "%s", err.text);
		return ANSWER_NONE;
	}
	ready = await_word(r, signals, HANDOVER_READY, LAST_MS);
	if (ready == ANSWER_STOP)
		handover_cancel(r);	/* it has nothing to finish */
	if (ready != ANSWER_WORD)
		return ready;
	let_go(r);
	return await_word(r, signals, HANDOVER_SERVING, LAST_MS);
}

static bool
child_has_ended(const struct handover *h)
{
	return !h->child || waitpid(h->child, NULL, WNOHANG) == h->child;
}

/* Told to stop with the journal in the new one's hands: it is told, too, and
 * both end what they have. A second signal, or the time, ends the wait. */
static int
stop_both(struct run *r, int signals)
{
	uint64_t end_ms = clock_mono_ms() + r->settings->drain_ms;
	struct handover *h = &r->handover;
	bool patient = true;

	log_info("run.draining", "stopped during the hand-over: process %d is "
		 "told, and what is left is finished", (int)h->child);
	notify_stopping();
	if (h->child)
		(void)kill(h->child, SIGTERM);
	listen_close_all(r->listen, r->listen_count);
	while (patient && !child_has_ended(h))
		patient = clock_mono_ms() < end_ms &&
			  !run_wait_signal(r, signals, 10);
	if (!patient)
		handover_cancel(r);
	else if (h->child)
		forget(h);
	if (patient)
		(void)wait_workers(r, signals, &r->proxy.workers_idle, end_ms);
	/* What the other has not taken away with it. */
	console_remove_run_file(r->data);
	atomic_store(&r->proxy.handing_over, false);
	return EXIT_SUCCESS;
}

int
handover_finish(struct run *r, int signals)
{
	uint64_t now = clock_mono_ms();
	uint64_t end_ms = now + r->settings->drain_ms;
	enum answer heard;

	stop_accepting(r);
	if (!wait_workers(r, signals, &r->proxy.workers_idle,
			  now + r->settings->handover_ms)) {
		handover_cancel(r);
		atomic_store(&r->proxy.handing_over, false);
		return HANDOVER_STOPPED;
	}
	release_journal(r);
	let_go(r);
	heard = await_word(r, signals, HANDOVER_SERVING,
			   (int)r->settings->handover_start_ms);
	if (heard == ANSWER_NONE)
		heard = start_again(r, signals);
	if (heard == ANSWER_STOP)
		return stop_both(r, signals);
	if (heard == ANSWER_NONE) {
		handover_cancel(r);
		log_error("run.handover-lost", "nobody serves any more: start "
			  "matapalo again");
		return EXIT_FAILURE;
	}
	notify_successor((int)r->handover.child);
	log_info("run.handed-over", "process %d serves; it took %llu ms; "
		 "finishing what is left", (int)r->handover.child,
		 (unsigned long long)(clock_mono_ms() - now));
	forget(&r->handover);
	listen_close_all(r->listen, r->listen_count);
	(void)wait_workers(r, signals, &r->proxy.workers_idle, end_ms);
	return EXIT_SUCCESS;
}

/* ---- the new process's side ---- */

int
handover_await(struct run *r, struct error *err)
{
	char word = 0;
	ssize_t n;

	if (r->inherit.parent < 0)
		return 0;
	say(r->inherit.parent, HANDOVER_READY);
	do {
		n = recv(r->inherit.parent, &word, 1, 0);
	} while (n < 0 && errno == EINTR);
	if (n == 1 && word != HANDOVER_GO)
		return error_set(err, "hand-over: an unknown word");
	if (n == 1 && r->proxy.tls)
		tls_server_take_tickets(r->proxy.tls, r->inherit.parent);
	return 0;	/* an old process that died has let go as well */
}

bool
handover_done(struct run *r)
{
	if (r->inherit.parent < 0)
		return false;
	say(r->inherit.parent, HANDOVER_SERVING);
	close(r->inherit.parent);
	r->inherit.parent = -1;
	return true;
}
