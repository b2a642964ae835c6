# SPDX-License-Identifier: Apache-2.0
"""Envoy's configuration: the same work as the others, nothing else on."""

HTTP = "envoy.extensions.filters.network.http_connection_manager.v3."
ROUTER = "envoy.extensions.filters.http.router.v3.Router"
TLS = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
PLENTY = 1000000


def typed(name, **members):
    return dict(members, **{"@type": "type.googleapis.com/" + name})


def header(name, value):
    return {"header": {"key": name, "value": value},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def cluster(name, port):
    return {
        "name": name, "type": "STATIC", "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [{
            "max_connections": PLENTY, "max_pending_requests": PLENTY,
            "max_requests": PLENTY, "max_retries": PLENTY}]},
        "load_assignment": {"cluster_name": name, "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": address(port)}}]}]},
    }


def route(has_copies):
    action = {"cluster": "origin", "timeout": "60s"}
    if has_copies:
        action["request_mirror_policies"] = [{"cluster": "copies"}]
    return {
        "name": "all",
        "request_headers_to_add": [
            header("X-Forwarded-Host", "%REQ(:AUTHORITY)%"),
            header("Forwarded", "for=%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"
                   ";host=\"%REQ(:AUTHORITY)%\";proto=http"),
        ],
        "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": action}]}],
    }


def listener(name, port, has_copies, transport=None):
    manager = typed(
        HTTP + "HttpConnectionManager", stat_prefix="in",
        generate_request_id=False, use_remote_address=True,
        skip_xff_append=False, via="1.1 envoy",
        server_header_transformation="PASS_THROUGH",
        http_filters=[{"name": "envoy.filters.http.router",
                       "typed_config": typed(
                           ROUTER, suppress_envoy_headers=True)}],
        route_config=route(has_copies))
    chain = {"filters": [{
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": manager}]}
    if transport:
        chain["transport_socket"] = transport
    return {"name": name, "address": address(port),
            "tcp_backlog_size": 4096, "filter_chains": [chain]}


def transport(certificate, key):
    return {"name": "envoy.transport_sockets.tls", "typed_config": typed(
        TLS, common_tls_context={"tls_certificates": [{
            "certificate_chain": {"filename": certificate},
            "private_key": {"filename": key}}]})}


def config(ports, origin, copies, certificate, key):
    clusters = [cluster("origin", origin)]
    if copies:
        clusters.append(cluster("copies", copies))
    return {"static_resources": {
        "listeners": [
            listener("plain", ports[0], bool(copies)),
            listener("tls", ports[1], bool(copies),
                     transport(certificate, key))],
        "clusters": clusters}}
