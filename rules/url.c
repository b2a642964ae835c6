/* SPDX-License-Identifier: Apache-2.0 */
/* Parses and resolves the addresses of HTTP targets. */
#include "rules/url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/message.h"

static bool
begins(const char *s, const char *prefix)
{
	return strncasecmp(s, prefix, strlen(prefix)) == 0;
}

static int
parse_socket(struct rules_load *l, const struct rules_node *at,
	     const char *path, struct url *out)
{
	struct sockaddr_un un;

	if (*path != '/')
		return load_fail(l, at, "the path of a Unix socket begins "
				 "with \"/\", as in \"unix:/run/shop.sock\"");
	if (strlen(path) >= sizeof(un.sun_path))
		return load_fail(l, at, "the path of a Unix socket has at "
				 "most %zu bytes", sizeof(un.sun_path) - 1);
	out->socket_path = path;
	out->base = "";
	return 0;
}

/* The base is put in front of normal paths, so it must be one. */
static int
parse_base(struct rules_load *l, const struct rules_node *at,
	   const char *path, struct url *out)
{
	char normal[1024];
	size_t len = strlen(path);
	long n;

	out->base = path;
	out->base_len = 0;
	if (len == 0)
		return 0;
	n = message_normal_path((struct span){ path, len }, normal,
				sizeof(normal));
	if (n < 0 || (size_t)n != len || memcmp(path, normal, len) != 0)
		return load_fail(l, at, "the path \"%s\" is not in normal "
				 "form: no \"//\", \".\", \"..\" or needless "
				 "escapes", path);
	out->base_len = path[len - 1] == '/' ? len - 1 : len;
	return 0;
}

static int
parse_port(struct rules_load *l, const struct rules_node *at, const char *s,
	   size_t len, struct url *out)
{
	unsigned long port;

	if (len == 0 || len > 5 || strspn(s, "0123456789") < len)
		return load_fail(l, at, "the port is a number from 1 to "
				 "65535");
	memcpy(out->port, s, len);
	out->port[len] = '\0';
	port = strtoul(out->port, NULL, 10);
	if (port < 1 || port > 65535)
		return load_fail(l, at, "port %s: write a number from 1 to "
				 "65535", out->port);
	return 0;
}

static int
parse_authority(struct rules_load *l, const struct rules_node *at,
		const char *s, size_t len, struct url *out)
{
	const char *host = s, *end = s + len, *host_end, *port;

	if (memchr(s, '@', len))
		return load_fail(l, at, "a user or password in a URL would be "
				 "logged and is never sent: remove it");
	if (len > 0 && *s == '[') {
		host_end = memchr(s, ']', len);
		if (!host_end)
			return load_fail(l, at, "\"[\" without \"]\"");
		host++;
		port = host_end + 1;
	} else {
		host_end = memchr(s, ':', len);
		if (!host_end)
			host_end = end;
		port = host_end;
	}
	if (host_end == host)
		return load_fail(l, at, "the host is missing, as in "
				 "\"http://127.0.0.1:3000\"");
	if ((size_t)(host_end - host) >= sizeof(out->host))
		return load_fail(l, at, "the host is too long");
	memcpy(out->host, host, (size_t)(host_end - host));
	snprintf(out->port, sizeof(out->port), "%s",
		 out->scheme == URL_TLS ? "443" : "80");
	if (port == end)
		return 0;
	if (*port != ':')
		return load_fail(l, at, "after \"]\" comes \":\" and a port");
	return parse_port(l, at, port + 1, (size_t)(end - port - 1), out);
}

static int
check_characters(struct rules_load *l, const struct rules_node *at,
		 const char *s)
{
	if (strpbrk(s, "?#"))
		return load_fail(l, at, "\"?\" and \"#\" have no place here: "
				 "query parameters come from the request");
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 0x7f)
			return load_fail(l, at, "only visible ASCII can stand "
					 "in a URL");
	return 0;
}

int
url_parse(struct rules_load *l, const struct rules_node *at,
	  const char *text, struct url *out)
{
	const char *s = text;
	size_t len;

	memset(out, 0, sizeof(*out));
	if (check_characters(l, at, text) < 0)
		return -1;
	if (begins(s, "http+unix://"))
		return parse_socket(l, at, s + strlen("http+unix://"), out);
	if (begins(s, "unix:"))
		return parse_socket(l, at, s + strlen("unix:"), out);
	out->scheme = begins(s, "https://") ? URL_TLS : URL_PLAIN;
	if (out->scheme == URL_PLAIN && !begins(s, "http://"))
		return load_fail(l, at, "\"%s\" is not a URL such as "
				 "\"http://127.0.0.1:3000\" or "
				 "\"unix:/run/shop.sock\"", text);
	s = strstr(s, "//") + 2;
	len = strcspn(s, "/");
	if (parse_authority(l, at, s, len, out) < 0)
		return -1;
	return parse_base(l, at, s + len, out);
}

/* The next place of the list; NULL with the error set. */
static struct rules_address *
next_address(struct rules_load *l, const struct rules_node *at,
	     struct rules_target *t, struct rules_address *list,
	     const char *text, const char *host)
{
	struct rules_address *out = &list[t->address_count];

	if (t->address_count == RULES_ADDRESSES_MAX) {
		load_fail(l, at, "more than %d addresses for one target",
			  RULES_ADDRESSES_MAX);
		return NULL;
	}
	memset(out, 0, sizeof(*out));
	out->text = load_copy(l, text);
	out->host = load_copy(l, host);
	if (!out->text || !out->host)
		return NULL;
	t->address_count++;
	return out;
}

static int
add_address(struct rules_load *l, const struct rules_node *at,
	    const struct rules_found *found, const struct url *url,
	    const struct rules_host *lookup, struct rules_target *t,
	    struct rules_address *list)
{
	struct rules_address *out;

	for (size_t i = 0; lookup && i < t->address_count; i++)
		if (strcmp(list[i].text, found->text) == 0 &&
		    strcmp(list[i].host, url->host) == 0)
			return 0;	/* the same URL twice */
	out = next_address(l, at, t, list, found->text, url->host);
	if (!out)
		return -1;
	out->addr = found->addr;
	out->addr_len = found->addr_len;
	out->lookup = lookup;
	return 0;
}

static int
resolve_socket(struct rules_load *l, const struct rules_node *at,
	       const struct url *url, struct rules_target *t,
	       struct rules_address *list)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char text[sizeof(un.sun_path) + sizeof("unix:")];
	struct rules_address *out;

	memcpy(un.sun_path, url->socket_path, strlen(url->socket_path) + 1);
	snprintf(text, sizeof(text), "unix:%s", url->socket_path);
	out = next_address(l, at, t, list, text, "");
	if (!out)
		return -1;
	memcpy(&out->addr, &un, sizeof(un));
	out->addr_len = sizeof(un);
	return 0;
}

static bool
is_literal(const char *host)
{
	unsigned char any[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, any) == 1 || strchr(host, ':');
}

static struct rules_host *
add_host(struct rules_load *l, const struct url *url, struct rules_target *t)
{
	struct rules_host *h = &t->hosts[t->host_count];

	h->name = load_copy(l, url->host);
	h->port = load_copy(l, url->port);
	if (!h->name || !h->port)
		return NULL;
	t->host_count++;
	return h;
}

/* The proxy must start even when a canary's name is unknown: its target has
 * no address then, and the name is asked for again. */
static int
note_unknown(struct rules_load *l, const struct rules_node *at,
	     const struct url *url, struct rules_host *host,
	     const struct error *err)
{
	if (!host)
		return load_fail(l, at, "the host \"%s\" cannot be found: "
				 "%s", url->host, err->text);
	host->error = load_copy(l, err->text);
	return host->error ? 0 : -1;
}

int
url_resolve(struct rules_load *l, const struct rules_node *at,
	    const struct url *url, struct rules_target *t,
	    struct rules_address *list)
{
	struct rules_found found[RULES_ADDRESSES_MAX];
	struct rules_host *host = NULL;
	struct error err = { 0 };
	int n;

	if (url->socket_path)
		return resolve_socket(l, at, url, t, list);
	if (!is_literal(url->host)) {
		host = add_host(l, url, t);
		if (!host)
			return -1;
	}
	n = rules_lookup(url->host, url->port, found, ARRAY_SIZE(found),
			 &err);
	if (n < 0)
		return note_unknown(l, at, url, host, &err);
	for (int i = 0; i < n; i++)
		if (add_address(l, at, &found[i], url, host, t, list) < 0)
			return -1;
	return 0;
}
