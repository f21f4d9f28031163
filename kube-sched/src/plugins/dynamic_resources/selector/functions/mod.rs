//! The functions of the language and of Kubernetes' libraries.

mod convert;
mod list;
mod net;
mod number;
mod optional;
mod regex;
mod text;
mod time;

pub(super) use convert::text as text_of;
pub(super) use list::sorted;
pub(super) use regex::kept as kept_regex;

use super::evaluate::{Evaluated, Failure, Run, no_overload, size_of};
use super::value::Value;

/// What a function makes of its arguments; nothing if it knows nothing to do with values of their types.
type Answer<'d> = Result<Option<Value<'d>>, Failure>;

macro_rules! functions {
    ($($function:ident: $name:literal, $method:literal, [$($args:literal)|+];)+) => {
        /// A function; several may do the same.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Function { $($function),+ }

        impl Function {
            /// The function called `name` with so many arguments, the first of which stands before the name of a method.
            pub(super) fn find(name: &str, method: bool, args: usize) -> Option<Self> {
                match (name, method, args) {
                    $(($name, $method, $($args)|+) => Some(Self::$function),)+
                    _ => None,
                }
            }
        }
    };
}

functions! {
    Size: "size", false, [1];
    SizeOf: "size", true, [1];
    TypeOf: "type", false, [1];
    ToText: "string", false, [1];
    ToBytes: "bytes", false, [1];
    ToInt: "int", false, [1];
    ToUint: "uint", false, [1];
    ToDouble: "double", false, [1];
    ToBool: "bool", false, [1];
    ToDuration: "duration", false, [1];
    ToTimestamp: "timestamp", false, [1];
    Dyn: "dyn", false, [1];
    Contains: "contains", true, [2];
    StartsWith: "startsWith", true, [2];
    EndsWith: "endsWith", true, [2];
    Matches: "matches", true, [2];
    MatchesOf: "matches", false, [2];
    Find: "find", true, [2];
    FindAll: "findAll", true, [2 | 3];
    LowerAscii: "lowerAscii", true, [1];
    UpperAscii: "upperAscii", true, [1];
    Trim: "trim", true, [1];
    Split: "split", true, [2 | 3];
    Join: "join", true, [1 | 2];
    Replace: "replace", true, [3 | 4];
    Substring: "substring", true, [2 | 3];
    CharAt: "charAt", true, [2];
    IndexOf: "indexOf", true, [2 | 3];
    LastIndexOf: "lastIndexOf", true, [2 | 3];
    Format: "format", true, [2];
    Quote: "strings.quote", false, [1];
    IsSorted: "isSorted", true, [1];
    Sum: "sum", true, [1];
    Min: "min", true, [1];
    Max: "max", true, [1];
    Range: "lists.range", false, [1];
    Slice: "slice", true, [3];
    Flatten: "flatten", true, [1 | 2];
    Distinct: "distinct", true, [1];
    Sort: "sort", true, [1];
    Reverse: "reverse", true, [1];
    First: "first", true, [1];
    Last: "last", true, [1];
    SetsContains: "sets.contains", false, [2];
    SetsEquivalent: "sets.equivalent", false, [2];
    SetsIntersects: "sets.intersects", false, [2];
    Quantity: "quantity", false, [1];
    IsQuantity: "isQuantity", false, [1];
    Semver: "semver", false, [1 | 2];
    IsSemver: "isSemver", false, [1 | 2];
    CompareTo: "compareTo", true, [2];
    IsGreaterThan: "isGreaterThan", true, [2];
    IsLessThan: "isLessThan", true, [2];
    Add: "add", true, [2];
    Sub: "sub", true, [2];
    Sign: "sign", true, [1];
    SignOf: "sign", false, [1];
    IsInteger: "isInteger", true, [1];
    AsInteger: "asInteger", true, [1];
    AsApproximateFloat: "asApproximateFloat", true, [1];
    Major: "major", true, [1];
    Minor: "minor", true, [1];
    Patch: "patch", true, [1];
    Ip: "ip", false, [1];
    IsIp: "isIP", false, [1];
    IsCanonical: "ip.isCanonical", false, [1];
    Family: "family", true, [1];
    IsUnspecified: "isUnspecified", true, [1];
    IsLoopback: "isLoopback", true, [1];
    IsLinkLocalMulticast: "isLinkLocalMulticast", true, [1];
    IsLinkLocalUnicast: "isLinkLocalUnicast", true, [1];
    IsGlobalUnicast: "isGlobalUnicast", true, [1];
    Cidr: "cidr", false, [1];
    IsCidr: "isCIDR", false, [1];
    ContainsIp: "containsIP", true, [2];
    ContainsCidr: "containsCIDR", true, [2];
    AddressOf: "ip", true, [1];
    Masked: "masked", true, [1];
    PrefixLength: "prefixLength", true, [1];
    Url: "url", false, [1];
    IsUrl: "isURL", false, [1];
    GetScheme: "getScheme", true, [1];
    GetHost: "getHost", true, [1];
    GetHostname: "getHostname", true, [1];
    GetPort: "getPort", true, [1];
    GetEscapedPath: "getEscapedPath", true, [1];
    GetQuery: "getQuery", true, [1];
    FormatNamed: "format.named", false, [1];
    Validate: "validate", true, [2];
    GetFullYear: "getFullYear", true, [1 | 2];
    GetMonth: "getMonth", true, [1 | 2];
    GetDayOfYear: "getDayOfYear", true, [1 | 2];
    GetDayOfMonth: "getDayOfMonth", true, [1 | 2];
    GetDate: "getDate", true, [1 | 2];
    GetDayOfWeek: "getDayOfWeek", true, [1 | 2];
    GetHours: "getHours", true, [1 | 2];
    GetMinutes: "getMinutes", true, [1 | 2];
    GetSeconds: "getSeconds", true, [1 | 2];
    GetMilliseconds: "getMilliseconds", true, [1 | 2];
    OptionalOf: "optional.of", false, [1];
    OptionalOfNonZero: "optional.ofNonZeroValue", false, [1];
    OptionalNone: "optional.none", false, [0];
    Unwrap: "optional.unwrap", false, [1];
    UnwrapOpt: "unwrapOpt", true, [1];
    HasValue: "hasValue", true, [1];
    InnerValue: "value", true, [1];
    OrValue: "orValue", true, [2];
    Or: "or", true, [2];
}

impl Function {
    pub(super) fn call<'d>(self, run: &mut Run<'d, '_>, args: &[Value<'d>]) -> Evaluated<'d> {
        for arg in args {
            run.pay(size_of(arg))?;
        }
        let Some((first, rest)) = args.split_first() else { return Ok(Value::Optional(None)) };
        if rest.is_empty()
            && let Some(converted) = convert::call(self, run, first)?
        {
            return Ok(converted);
        }
        let answer = match first {
            Value::Text(text) => self.of_text(run, text, rest)?,
            Value::Bytes(bytes) if matches!(self, Self::Size | Self::SizeOf) => {
                Some(Value::Int(length(bytes.len())))
            }
            Value::Int(number) if self == Self::Range => Some(list::range(run, *number)?),
            Value::List(_) | Value::Map(_) | Value::Domains(..) | Value::Domain(..) => {
                list::call(self, run, first, rest)?
            }
            Value::Quantity(amount) => number::of_quantity(self, *amount, rest)?,
            Value::Version(version) => number::of_version(self, version, rest),
            Value::Duration(span) if rest.is_empty() => time::of_span(self, *span),
            Value::Timestamp(moment) => time::of_moment(self, *moment, rest)?,
            Value::Ip(address) => net::of_address(self, *address),
            Value::Cidr(range) => net::of_range(self, *range, rest)?,
            Value::Url(url) => net::of_url(self, url),
            Value::Format(format) => text::validated(self, *format, rest),
            Value::Optional(inner) => optional::call(self, inner.as_ref(), rest)?,
            _ => None,
        };
        answer.ok_or_else(no_overload)
    }

    fn of_text<'d>(self, run: &mut Run<'d, '_>, text: &str, rest: &[Value<'d>]) -> Answer<'d> {
        if let Some(answer) = text::call(self, run, text, rest)? {
            return Ok(Some(answer));
        }
        match net::of_text(self, text)? {
            Some(answer) if rest.is_empty() => Ok(Some(answer)),
            _ => number::of_text(self, text, rest),
        }
    }
}

fn length(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
