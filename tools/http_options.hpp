#pragma once

#include "checks/http_check.hpp"
#include "error.hpp"
#include "options.hpp"

namespace safe_deploy {

// The options of a tool that asks a URL: how, and what a healthy answer is.
inline constexpr Option http_options[] = {
    {0, "expect-status", "LIST", "status codes that are healthy (default 200-299)"},
    {0, "expect-json", "FILTER", "jq filter that must give true; repeatable"},
    {0, "expect-body", "REGEX", "the body must match; repeatable"},
    {0, "expect-header", "HEADER", "'Name: REGEX' must match; repeatable"},
    {0, "max-latency", "TIME", "the whole answer may take so long"},
    {'X', "method", "METHOD", "request method (default GET; with data POST)"},
    {'d', "data", "TEXT", "send this body"},
    {'H', "header", "HEADER", "send 'Name: value', too; repeatable"},
    {0, "bearer", "FILE", "send the token in FILE or credential:NAME"},
    {0, "cacert", "FILE", "trust these certificates only (PEM)"},
    {0, "cert", "FILE", "client certificate (PEM)"},
    {0, "key", "FILE", "its private key (PEM)"},
    {'k', "insecure", "", "accept any certificate"},
    {0, "unix-socket", "PATH", "connect to this socket instead of the host"},
    {'L', "location", "", "follow redirects"},
    {0, "max-body", "SIZE", "read so much of the body (default 1M)"},
};

// The settings for `url`. Outcome::usage for a value that cannot be.
Result<HttpRequest> read_http_request(const CommandLine& line, const std::string& url);

// `on_late_error`: see CheckContext. `user`: as whom the check is asked.
Result<HttpExpectations> read_http_expectations(const CommandLine& line,
                                                std::function<void(const Error&)> on_late_error,
                                                UserPtr user = {});

} // namespace safe_deploy
