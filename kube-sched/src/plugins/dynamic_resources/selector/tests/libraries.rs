//! What Kubernetes' libraries and the language's extensions add.

use super::{ask, check};

#[test]
fn addresses_and_ranges_are_values() {
    check(&[
        ("ip('127.0.0.1').family() == 4 && ip('::1').family() == 6", "true"),
        ("isIP('10.0.0.1') && !isIP('10.0.0.300') && !isIP('10.0.0.01') && !isIP('::ffff:1.2.3.4')", "true"),
        ("ip.isCanonical('2001:db8::abcd') && !ip.isCanonical('2001:DB8::ABCD')", "true"),
        ("ip('0.0.0.0').isUnspecified() && ip('::').isUnspecified() && !ip('::1').isUnspecified()", "true"),
        ("ip('127.0.0.1').isLoopback() && ip('::1').isLoopback() && !ip('8.8.8.8').isLoopback()", "true"),
        ("ip('224.0.0.1').isLinkLocalMulticast() && !ip('224.0.1.1').isLinkLocalMulticast()", "true"),
        ("ip('ff02::1').isLinkLocalMulticast() && !ip('fd00::1').isLinkLocalMulticast()", "true"),
        ("ip('169.254.169.254').isLinkLocalUnicast() && ip('fe80::1').isLinkLocalUnicast()", "true"),
        ("ip('192.168.0.1').isGlobalUnicast() && !ip('255.255.255.255').isGlobalUnicast()", "true"),
        ("string(ip('2001:DB8::1')) == '2001:db8::1' && type(ip('1.2.3.4')) == net.IP", "true"),
        ("ip('10.0.0.1') == ip('10.0.0.1') && ip('10.0.0.1') != ip('::1')", "true"),
        ("ip('fe80::1%en0') == ip('::1')", "IP address \"fe80::1%en0\" with zone value is not allowed"),
        ("ip('::ffff:1.2.3.4') == ip('::1')", "IPv4-mapped IPv6 address \"::ffff:1.2.3.4\" is not allowed"),
        (
            "ip('x') == ip('::1')",
            "IP Address \"x\" parse error during conversion from string: ParseAddr(\"x\"): unable to parse IP",
        ),
        ("cidr('192.168.0.0/24').containsIP('192.168.0.9') && !cidr('10.0.0.0/8').containsIP('::1')", "true"),
        (
            "cidr('10.0.0.0/8').containsIP(ip('10.1.2.3')) && cidr('2001:db8::/32').containsIP('2001:db8::1')",
            "true",
        ),
        (
            "cidr('192.168.0.0/16').containsCIDR('192.168.10.0/24') && cidr('::/0').containsCIDR('::1/128')",
            "true",
        ),
        ("!cidr('192.168.0.0/24').containsCIDR(cidr('192.168.0.0/16'))", "true"),
        ("cidr('192.168.1.5/24').ip() == ip('192.168.1.5') && cidr('::1/128').prefixLength() == 128", "true"),
        (
            "cidr('192.168.1.5/24').masked() == cidr('192.168.1.0/24') && type(cidr('::/0')) == net.CIDR",
            "true",
        ),
        (
            "string(cidr('10.0.0.0/8')) == '10.0.0.0/8' && isCIDR('10.0.0.1/8') && !isCIDR('10.0.0.0/33')",
            "true",
        ),
        ("isCIDR('10.0.0.0/08') || isCIDR('10.0.0.0') || isCIDR('::ffff:1.2.3.4/112')", "false"),
        ("cidr('10.0.0.0/8').containsIP(7)", "no such overload"),
    ]);
    assert!(ask("cidr('1.2.3.4/33') == cidr('::/0')").ends_with("prefix length out of range"));
}

#[test]
fn urls_are_read_part_by_part() {
    check(&[
        ("url('HTTPS://user@example.com:80/p?q=1').getScheme() == 'https'", "true"),
        ("url('https://user@example.com:80/').getHost() == 'example.com:80'", "true"),
        ("url('https://[::1]:80/').getHost() == '[::1]:80' && url('/path').getHost() == ''", "true"),
        (
            "url('https://[::1]:80/').getHostname() == '::1' && url('https://a.b/').getHostname() == 'a.b'",
            "true",
        ),
        (
            "url('https://example.com:80/').getPort() == '80' && url('https://example.com/').getPort() == ''",
            "true",
        ),
        ("url('https://example.com/with space/').getEscapedPath() == '/with%20space/'", "true"),
        ("url('https://example.com/a%2Fb').getEscapedPath() == '/a%2Fb'", "true"),
        ("url('https://example.com').getEscapedPath() == '' && url('/a#b').getEscapedPath() == '/a'", "true"),
        ("url('https://h/p?k1=a&k2=b&k2=c').getQuery() == {'k1': ['a'], 'k2': ['b', 'c']}", "true"),
        ("url('https://h/p?a%20b=c+d&e').getQuery() == {'a b': ['c d'], 'e': ['']}", "true"),
        ("url('https://h/p?').getQuery() == {} && url('mailto:a@b').getHost() == ''", "true"),
        ("isURL('https://example.com') && isURL('/absolute/path') && isURL('*')", "true"),
        (
            "isURL('../relative') || isURL('example.com') || isURL('') || isURL('http://[::1') || isURL(':x')",
            "false",
        ),
        ("isURL('https://a b.com/') || isURL('https://h:port/') || isURL('https://h/%zz')", "false"),
        ("url('https://h/?a') == url('https://h/?a') && url('https://h/?a') != url('https://h/?b')", "true"),
        (
            "url('../x').getHost() == ''",
            "URL parse error during conversion from string: parse \"../x\": invalid URI for request",
        ),
        (
            "url('https://h/%zz').getHost() == ''",
            "URL parse error during conversion from string: parse \"https://h/%zz\": invalid URL escape \"%zz\"",
        ),
        (
            "url('https://h:x/').getHost() == ''",
            "URL parse error during conversion from string: parse \"https://h:x/\": invalid port \":x\" after host",
        ),
    ]);
}

#[test]
fn formats_say_what_is_wrong() {
    check(&[
        ("!format.dns1123Label().validate('my-label').hasValue()", "true"),
        ("format.dns1123Label().validate('a.b').value() == ['must not contain dots']", "true"),
        (
            "format.dns1123Label().validate('A').value()[0].startsWith('a lowercase RFC 1123 label must')",
            "true",
        ),
        (
            "format.dns1123Label().validate('a'.replace('a', 'aaaaaaaaaaaaaaaa').replace('a', 'aaaa')).value() == ['must be no more than 63 characters']",
            "true",
        ),
        (
            "!format.dns1123Subdomain().validate('a.b-c').hasValue() && format.dns1123Subdomain().validate('a..b').hasValue()",
            "true",
        ),
        (
            "!format.dns1035Label().validate('a1').hasValue() && format.dns1035Label().validate('1a').hasValue()",
            "true",
        ),
        (
            "!format.dns1123LabelPrefix().validate('a-').hasValue() && format.dns1123Label().validate('a-').hasValue()",
            "true",
        ),
        (
            "!format.dns1123SubdomainPrefix().validate('a.b-').hasValue() && !format.dns1035LabelPrefix().validate('a-').hasValue()",
            "true",
        ),
        ("!format.qualifiedName().validate('example.com/My_Name').hasValue()", "true"),
        ("format.qualifiedName().validate('/x').value() == ['prefix part must be non-empty']", "true"),
        (
            "format.qualifiedName().validate('a/b/c').value()[0].endsWith(\"(e.g. 'example.com/MyName')\")",
            "true",
        ),
        (
            "!format.labelValue().validate('').hasValue() && format.labelValue().validate('-').hasValue()",
            "true",
        ),
        ("!format.uri().validate('https://example.com').hasValue()", "true"),
        ("format.uri().validate('x').value() == ['parse \"x\": invalid URI for request']", "true"),
        ("!format.uuid().validate('123e4567-e89b-12d3-a456-426614174000').hasValue()", "true"),
        ("format.uuid().validate('123').value() == ['does not match the UUID format']", "true"),
        (
            "!format.byte().validate('aGVsbG8=').hasValue() && format.byte().validate('aGV').value() == ['invalid base64']",
            "true",
        ),
        (
            "!format.date().validate('2021-01-31').hasValue() && format.date().validate('2021-02-30').value() == ['invalid date']",
            "true",
        ),
        (
            "!format.datetime().validate('2021-01-01T00:00:00Z').hasValue() && !format.datetime().validate('2021-01-01t10:20:30.5+02:00').hasValue()",
            "true",
        ),
        ("format.datetime().validate('2021-01-01T24:00:00Z').value() == ['invalid datetime']", "true"),
        ("format.named('uuid').hasValue() && !format.named('nothing').hasValue()", "true"),
        ("format.named('date').value() == format.date() && format.date() != format.uuid()", "true"),
    ]);
}

#[test]
fn lists_can_be_cut_sorted_and_flattened() {
    check(&[
        ("[1, 2, 3, 4].slice(1, 3) == [2, 3] && [1].slice(1, 1) == []", "true"),
        ("[1].slice(2, 1) == []", "cannot slice(2, 1), start index must be less than or equal to end index"),
        ("[1].slice(-1, 1) == []", "cannot slice(-1, 1), negative indexes not supported"),
        ("[1].slice(0, 2) == []", "cannot slice(0, 2), list is length 1"),
        ("[1, [2, 3], [4]].flatten() == [1, 2, 3, 4] && [1, [2, [3]]].flatten() == [1, 2, [3]]", "true"),
        ("[1, [2, [3, [4]]]].flatten(2) == [1, 2, 3, [4]] && [[1]].flatten(0) == [[1]]", "true"),
        ("[1].flatten(-1) == []", "level must be non-negative"),
        ("['b', 'b', 'c', 'a', 'c'].distinct() == ['b', 'c', 'a'] && [1, 1u, 1.0].distinct() == [1]", "true"),
        ("[3, 2, 1].sort() == [1, 2, 3] && ['b', 'a'].sort() == ['a', 'b'] && [].sort() == []", "true"),
        ("[1, 'b'].sort() == []", "list elements must have the same type"),
        ("[[1]].sort() == []", "list elements must be comparable"),
        ("[{'n': 2}, {'n': 1}].sortBy(e, e.n).map(e, e.n) == [1, 2]", "true"),
        ("['bb', 'a', 'ccc'].sortBy(s, -s.size()) == ['ccc', 'bb', 'a']", "true"),
        ("[5, 3, 1].reverse() == [1, 3, 5] && lists.range(3) == [0, 1, 2] && lists.range(-1) == []", "true"),
        ("[1, 2].first().value() == 1 && [1, 2].last().value() == 2 && ![].first().hasValue()", "true"),
        (
            "optional.unwrap([optional.of(1), optional.none()]) == [1] && [optional.of(2)].unwrapOpt() == [2]",
            "true",
        ),
        ("[duration('1s'), duration('2s')].sum() == duration('3s') && [true, false].min() == false", "true"),
        ("[].min() == 1", "min called on empty list"),
        ("[].max() == 1", "max called on empty list"),
        ("lists.range(100000000).size() > 0", "operation cancelled: actual cost limit exceeded"),
    ]);
}

#[test]
fn macros_may_have_two_variables() {
    check(&[
        ("[1, 2, 3].all(i, v, i < v) && {'a': 'b'}.exists(k, v, k == 'a' && v == 'b')", "true"),
        ("[1, 1, 2].existsOne(i, v, i == 2 && v == 2) && ![1, 2, 1].exists_one(i, v, v == 1)", "true"),
        ("[1, 2, 3].transformList(i, v, i * v + v) == [1, 4, 9]", "true"),
        ("[1, 2, 3].transformList(i, v, i % 2 == 0, i * v + v) == [1, 9]", "true"),
        ("{'a': 1, 'b': 2}.transformList(k, _, k) == ['a', 'b']", "true"),
        ("[1, 2].transformMap(i, v, v * 10) == {0: 10, 1: 20}", "true"),
        ("{'a': 1, 'b': 2}.transformMap(k, v, v > 1, v) == {'b': 2}", "true"),
        ("{'greeting': 'hello'}.transformMapEntry(k, v, {v: k}) == {'hello': 'greeting'}", "true"),
        ("['a', 'a'].transformMapEntry(i, v, {v: i}) == {}", "insert failed: key a already exists"),
        ("device.attributes['gpu.example.com'].exists(name, value, name == 'cores' && value == 108)", "true"),
        ("device.capacity.all(domain, amounts, amounts.all(name, amount, amount.sign() == 1))", "true"),
        ("[1].all(i, i, true)", "compilation failed: duplicate variable name: i"),
        ("[1].all(1, true)", "compilation failed: argument must be a simple name"),
        ("[1].transformList(i, true)", "compilation failed: argument must be a simple name"),
    ]);
}

#[test]
fn time_is_reckoned_with() {
    check(&[
        (
            "duration('1h30m') == duration('90m') && duration('-1.5s') < duration('0') && duration('1us') > duration('1ns')",
            "true",
        ),
        (
            "duration('1h') + duration('30m') == duration('5400s') && -duration('1s') == duration('-1s')",
            "true",
        ),
        (
            "duration('1h').getMinutes() == 60 && duration('90s').getMinutes() == 1 && duration('1.5s').getMilliseconds() == 1500",
            "true",
        ),
        ("string(duration('1m1.5s')) == '61.5s' && int(duration('1us')) == 1000", "true"),
        ("timestamp('2024-02-28T23:00:00Z') + duration('1h') == timestamp('2024-02-29T00:00:00Z')", "true"),
        ("timestamp('2024-01-02T00:00:00Z') - timestamp('2024-01-01T00:00:00Z') == duration('24h')", "true"),
        ("timestamp('2024-01-01T00:00:00+02:00') == timestamp('2023-12-31T22:00:00Z')", "true"),
        ("string(timestamp('2024-01-01T00:00:00.50+02:00')) == '2024-01-01T00:00:00.5+02:00'", "true"),
        ("string(timestamp('9999-12-31T23:59:59.999999999Z')) == '9999-12-31T23:59:59.999999999Z'", "true"),
        (
            "string(timestamp(0)) == '1970-01-01T00:00:00Z' && int(timestamp('1969-12-31T23:59:59.5Z')) == -1",
            "true",
        ),
        (
            "timestamp('2024-02-29T12:34:56.789Z').getFullYear() == 2024 && timestamp('2024-02-29T12:34:56Z').getMonth() == 1",
            "true",
        ),
        (
            "timestamp('2024-02-29T12:34:56Z').getDate() == 29 && timestamp('2024-02-29T12:34:56Z').getDayOfMonth() == 28",
            "true",
        ),
        (
            "timestamp('2024-02-29T12:34:56Z').getDayOfWeek() == 4 && timestamp('2024-02-29T12:34:56Z').getDayOfYear() == 59",
            "true",
        ),
        (
            "timestamp('2024-02-29T12:34:56.789Z').getMilliseconds() == 789 && timestamp('2024-02-29T12:34:56Z').getHours('-02:30') == 10",
            "true",
        ),
        (
            "timestamp('2024-07-01T00:30:00Z').getHours('America/New_York') == 20 && timestamp('2024-07-01T00:30:00Z').getDate('US/Central') == 30",
            "true",
        ),
    ]);
}

#[test]
fn times_that_there_are_not_are_refused() {
    check(&[
        ("timestamp('2024-07-01T00:00:00Z').getHours('Nowhere/Land') == 0", "unknown time zone Nowhere/Land"),
        (
            "timestamp('2024-07-01T00:00:00Z').getHours('a:b') == 0",
            "strconv.Atoi: parsing \"a\": invalid syntax",
        ),
        ("timestamp('9999-12-31T00:00:00Z') + duration('48h') > timestamp(0)", "timestamp overflow"),
        ("duration('9223372036s') + duration('1h') > duration('0')", "duration overflow"),
        ("timestamp('yesterday') > timestamp(0)", "compilation failed: invalid timestamp argument"),
        ("duration('1 hour') > duration('0')", "compilation failed: invalid duration argument"),
        (
            "duration('h' + '1') > duration('0')",
            "type conversion error from 'string' to 'google.protobuf.Duration'",
        ),
        (
            "timestamp('2024-02-30' + 'T00:00:00Z') > timestamp(0)",
            "type conversion error from 'string' to 'google.protobuf.Timestamp'",
        ),
    ]);
}

#[test]
fn bytes_types_and_the_ends_of_numbers_can_be_written() {
    check(&[
        (
            "b'abc' == bytes('abc') && b'\\xff'.size() == 1 && b'\\303\\274' == bytes('ü') && b'a' + b'b' == b'ab'",
            "true",
        ),
        ("string(b'abc') == 'abc' && b'a' < b'b' && br'\\n'.size() == 2", "true"),
        ("string(b'\\xff') == ''", "invalid UTF-8 in bytes, cannot convert to string"),
        (
            "type(1) == int && type(1u) == uint && type('') == string && type([]) == list && type({}) == map",
            "true",
        ),
        (
            "type(null) == null_type && type(int) == type && type(b'') == bytes && type(1.0) == double && type(true) == bool",
            "true",
        ),
        (
            "type(duration('1s')) == google.protobuf.Duration && type(timestamp(0)) == google.protobuf.Timestamp",
            "true",
        ),
        ("type(optional.none()) == optional_type && type(dyn(1)) == int", "true"),
        ("-9223372036854775808 < 0 && -0x8000000000000000 == -9223372036854775808 && 0xFFu == 255u", "true"),
        ("--9223372036854775808 > 0", "integer overflow"),
        ("9223372036854775808 > 0", "compilation failed: invalid int literal"),
        ("18446744073709551615u > 0u && .5 + .5 == 1.0 && -.5 < 0.0 && -5.0 == -5", "true"),
        ("18446744073709551616u > 0u", "compilation failed: invalid uint literal"),
        ("1u - 2u == 0u", "unsigned integer overflow"),
        ("uint(-1) == 0u", "unsigned integer overflow"),
        ("int(1e20) == 0", "integer overflow"),
        (
            "uint(1.9) == 1u && double('1e3') == 1000.0 && string(1e6) == '1e+06' && string(0.5) == '0.5'",
            "true",
        ),
        ("int('x') == 0", "type conversion error from 'string' to 'int'"),
        ("bool('T') && !bool('F')", "true"),
        (
            "[?optional.of(1), ?optional.none(), 2] == [1, 2] && {?'a': optional.none(), 'b': 1} == {'b': 1}",
            "true",
        ),
        ("optional.of(true).orValue(1 / 0 == 1) && optional.of(1).or(optional.of(1 / 0)).hasValue()", "true"),
        ("{'a': 1, 'a': 2}.a == 2 && {'a': 1, 'a': 2}.size() == 1 && .device.driver != ''", "true"),
        ("{[1]: 1}.size() == 1", "unsupported key type"),
        ("package == 1", "compilation failed: reserved identifier: package"),
        ("'a'.matches('[')", "compilation failed: invalid matches argument"),
        ("['a[', 'b'].exists(p, 'b'.matches(p))", "true"),
        ("device.allowMultipleAllocations", "compilation failed: undefined field 'allowMultipleAllocations'"),
    ]);
}

#[test]
fn versions_and_quantities_are_refused_in_upstreams_words() {
    check(&[
        ("semver('v1.2', true) == semver('1.2.0') && semver('01.02.03', true) == semver('1.2.3')", "true"),
        ("isSemver(' 1.2.3', true) || isSemver('1.2-rc', true)", "false"),
        ("semver('1.2') == semver('1.2.0')", "No Major.Minor.Patch elements found"),
        ("semver('1.x.3') == semver('1.2.0')", "Invalid character(s) found in minor number \"x\""),
        ("semver('01.2.3') == semver('1.2.0')", "Major number must not contain leading zeroes \"01\""),
        ("semver('1.2.3-') == semver('1.2.0')", "Prerelease is empty"),
        (
            "semver('1.2-rc', true) == semver('1.2.0')",
            "short version cannot contain PreRelease/Build meta data",
        ),
        (
            "quantity('10Qi').sign() == 1",
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        ("quantity('10mm').sign() == 1", "unable to parse quantity's suffix"),
        ("quantity('5').add(3).isGreaterThan(quantity('7')) && sign(quantity('-1')) == -1", "true"),
        ("quantity('5').isGreaterThan(3)", "no such overload"),
    ]);
}
