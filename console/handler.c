/* SPDX-License-Identifier: Apache-2.0 */
/* A consumer's shell command as a process: input, output, deadline. */
#include "console/handler.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define GRACE_MS 5000 /* between SIGTERM and SIGKILL */
#define CLOSED_MS 1000 /* who closes a pipe is about to end */

/* ---- start ---- */

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int
make_pipes(int ours[HANDLER_STREAMS], int theirs[HANDLER_STREAMS])
{
	for (int i = 0; i < HANDLER_STREAMS; i++) {
		int both[2];

		if (pipe2(both, O_CLOEXEC))
			return -1;
		ours[i] = both[i == HANDLER_INPUT];
		theirs[i] = both[i != HANDLER_INPUT];
		fcntl(ours[i], F_SETFL, O_NONBLOCK);
	}
	return 0;
}

/* Returns an errno value. */
static int
spawn(struct handler *h, const char *command, char *const *env,
      const int theirs[HANDLER_STREAMS])
{
	char *const argv[] = { (char[]){ "sh" }, (char[]){ "-c" },
			       (char *)(uintptr_t)command, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, defaults;
	int failed;

	sigemptyset(&none);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	posix_spawn_file_actions_init(&files);
	for (int i = 0; i < HANDLER_STREAMS; i++)
		posix_spawn_file_actions_adddup2(&files, theirs[i], i);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP |
						POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	failed = posix_spawn(&h->pid, "/bin/sh", &files, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return failed;
}

int
handler_start(struct handler *h, const char *command, char *const *env,
	      struct error *err)
{
	int theirs[HANDLER_STREAMS] = { -1, -1, -1 };
	int failed;

	for (int i = 0; i < HANDLER_STREAMS; i++)
		h->fds[i] = -1;
	failed = make_pipes(h->fds, theirs) ? errno
					    : spawn(h, command, env, theirs);
	for (int i = 0; i < HANDLER_STREAMS; i++)
		close_fd(&theirs[i]);
	if (failed) {
		for (int i = 0; i < HANDLER_STREAMS; i++)
			close_fd(&h->fds[i]);
		h->pid = 0;
		return error_set(err, "the handler cannot be started: %s",
				 strerror(failed));
	}
	/* Without pidfd (an old kernel) the end is seen by polling. */
	h->pidfd = pidfd_open(h->pid, 0);
	return 0;
}

/* ---- streams ---- */

static bool
is_all_sent(const struct handler *h)
{
	return h->sent == h->input.len;
}

static void
send_input(struct handler *h)
{
	ssize_t n = 0;

	if (h->fds[HANDLER_INPUT] < 0)
		return;
	if (!is_all_sent(h))
		n = write(h->fds[HANDLER_INPUT], h->input.data + h->sent,
			  h->input.len - h->sent);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* A handler that does not read its input is as good as one that
	 * does: EPIPE only ends the sending. */
	if (n > 0)
		h->sent += (size_t)n;
	if (n < 0 || (is_all_sent(h) && h->kind == HANDLER_ONCE))
		close_fd(&h->fds[HANDLER_INPUT]);
	else if (is_all_sent(h))
		h->input.len = h->sent = 0;
}

int
handler_give(struct handler *h, struct span input)
{
	buf_add(&h->input, input.at, input.len);
	if (h->input.failed)
		return -1;
	send_input(h);
	return 0;
}

size_t
handler_unread(const struct handler *h)
{
	int in_pipe = 0;

	if (h->fds[HANDLER_INPUT] >= 0 &&
	    ioctl(h->fds[HANDLER_INPUT], FIONREAD, &in_pipe))
		in_pipe = 0;
	return (size_t)in_pipe + h->input.len - h->sent;
}

void
handler_close_input(struct handler *h)
{
	h->kind = HANDLER_ONCE;
	send_input(h);
}

void
handler_deadline(struct handler *h, unsigned timeout_ms)
{
	h->deadline_ms = timeout_ms ? clock_mono_ms() + timeout_ms : 0;
}

void
handler_terminate(struct handler *h)
{
	kill(-h->pid, SIGTERM);
	if (!h->kill_ms)
		h->kill_ms = clock_mono_ms() + GRACE_MS;
}

void
handler_kill(struct handler *h)
{
	kill(-h->pid, SIGKILL);
	h->kill_ms = clock_mono_ms();
}

static void
take_output(struct handler *h, const char *data, size_t n)
{
	if (h->end == HANDLER_TOO_LOUD)
		return;
	buf_add(&h->out, data, n);
	if (!h->out.failed && h->out.len <= h->output_limit_bytes)
		return;
	h->end = HANDLER_TOO_LOUD;
	handler_terminate(h);
}

/* Keeps the newest line that is not empty. */
static void
take_errors(struct handler *h, const char *data, size_t n)
{
	if (fwrite(data, 1, n, stderr) != n)
		clearerr(stderr);
	for (size_t i = 0; i < n; i++) {
		if (data[i] == '\n') {
			h->line_len = 0;
		} else if (h->line_len < sizeof(h->line) - 1) {
			h->line[h->line_len++] = data[i];
			h->line[h->line_len] = '\0';
		}
	}
}

static void
read_stream(struct handler *h, int stream)
{
	char chunk[16384];
	ssize_t n = read(h->fds[stream], chunk, sizeof(chunk));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		close_fd(&h->fds[stream]);
	else if (stream == HANDLER_OUTPUT)
		take_output(h, chunk, (size_t)n);
	else
		take_errors(h, chunk, (size_t)n);
}

/* What the pipes still hold; a grandchild that keeps them open is not
 * waited for. */
static void
drain(struct handler *h)
{
	for (int i = HANDLER_OUTPUT; i <= HANDLER_ERRORS; i++) {
		struct pollfd p = { .fd = h->fds[i], .events = POLLIN };

		while (p.fd >= 0 && poll(&p, 1, 0) > 0) {
			read_stream(h, i);
			p.fd = h->fds[i];
		}
	}
}

/* ---- a step ---- */

/* Who has closed a pipe that is to last cannot go on. */
static void
check_pipes(struct handler *h)
{
	uint64_t soon = clock_mono_ms() + CLOSED_MS;

	if (h->kind == HANDLER_LASTING && !h->kill_ms &&
	    (h->fds[HANDLER_INPUT] < 0 || h->fds[HANDLER_OUTPUT] < 0) &&
	    (!h->deadline_ms || h->deadline_ms > soon))
		h->deadline_ms = soon;
}

static void
check_clocks(struct handler *h)
{
	uint64_t now = clock_mono_ms();

	if (h->deadline_ms && now >= h->deadline_ms) {
		h->deadline_ms = 0;
		h->end = HANDLER_TIMED_OUT;
		handler_terminate(h);
	}
	if (h->kill_ms && now >= h->kill_ms)
		kill(-h->pid, SIGKILL);
}

static void
check_end(struct handler *h)
{
	int status;

	if (waitpid(h->pid, &status, WNOHANG) != h->pid)
		return;
	h->has_ended = true;
	drain(h);
	if (h->kill_ms || h->kind == HANDLER_LASTING)
		kill(-h->pid, SIGKILL);
	if (h->end != HANDLER_EXITED)
		return;
	h->end = WIFSIGNALED(status) ? HANDLER_SIGNALLED : HANDLER_EXITED;
	h->code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

void
handler_polls(const struct handler *h, struct pollfd p[HANDLER_POLLS])
{
	bool sends = !is_all_sent(h);

	p[HANDLER_INPUT] = (struct pollfd){
		.fd = sends ? h->fds[HANDLER_INPUT] : -1, .events = POLLOUT };
	for (int i = HANDLER_OUTPUT; i <= HANDLER_ERRORS; i++)
		p[i] = (struct pollfd){ .fd = h->fds[i], .events = POLLIN };
	p[HANDLER_STREAMS] = (struct pollfd){ .fd = h->pidfd,
					      .events = POLLIN };
}

void
handler_step(struct handler *h, const struct pollfd p[HANDLER_POLLS])
{
	if (p[HANDLER_INPUT].revents)
		send_input(h);
	for (int i = HANDLER_OUTPUT; i <= HANDLER_ERRORS; i++)
		if (p[i].revents)
			read_stream(h, i);
	check_pipes(h);
	check_clocks(h);
	check_end(h);
}

void
handler_fini(struct handler *h)
{
	if (h->pid && !h->has_ended) {
		kill(-h->pid, SIGKILL);
		while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	for (int i = 0; h->pid && i < HANDLER_STREAMS; i++)
		close_fd(&h->fds[i]);
	if (h->pid)
		close_fd(&h->pidfd);
	buf_fini(&h->out);
	buf_fini(&h->input);
	*h = (struct handler){ 0 };
}

const char *
handler_reason(const struct handler *h, char *out, size_t size)
{
	const char *words = h->line;

	switch (h->end) {
	case HANDLER_EXITED:
		snprintf(out, size, "exit status %d%s%s", h->code,
			 *words ? ": " : "", words);
		break;
	case HANDLER_SIGNALLED:
		snprintf(out, size, "killed by signal %d (%s)%s%s", h->code,
			 strsignal(h->code), *words ? ": " : "", words);
		break;
	case HANDLER_TIMED_OUT:
		snprintf(out, size, "the handler took too long%s%s",
			 *words ? ": " : "", words);
		break;
	case HANDLER_TOO_LOUD:
		snprintf(out, size, "the handler printed too much");
		break;
	}
	return out;
}

/* ---- signals ---- */

int
handler_stop_open(struct handler_stop *s, struct error *err)
{
	sigset_t set;

	s->count = 0;
	/* A handler that does not read its input must not end us. */
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd < 0)
		return error_set(err, "signalfd: %s", strerror(errno));
	return 0;
}

unsigned
handler_stop_check(struct handler_stop *s)
{
	struct signalfd_siginfo info;

	while (s->fd >= 0 && read(s->fd, &info, sizeof(info)) == sizeof(info))
		s->count++;
	return s->count;
}

void
handler_stop_close(struct handler_stop *s)
{
	close_fd(&s->fd);
}
