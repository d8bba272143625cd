//! Scalar functions: which there are, and what types they have.

use super::types::Type;

/// A scalar function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Abs,
    Ceil,
    Floor,
    Round,
    Truncate,
    Sign,
    Sqrt,
    Power,
    Exp,
    Ln,
    Log10,
    Upper,
    Lower,
    Trim,
    TrimStart,
    TrimEnd,
    Substring,
    Concat,
    Length,
    Position,
    Replace,
    Left,
    Right,
    Repeat,
    Initcap,
    Coalesce,
    NullIf,
    Greatest,
    Least,
    Cardinality,
    ArrayContains,
    ParseJson,
    ToJson,
}

/// What a function takes, and what it returns.
pub(crate) struct Signature {
    pub(crate) function: Function,
    pub(crate) arguments: std::ops::RangeInclusive<usize>,
}

/// Functions of a real server that this engine does not have.
const OTHERS: [&str; 108] = [
    "ACOS",
    "ACOSH",
    "ARRAYS_OVERLAP",
    "ARRAY_APPEND",
    "ARRAY_COMPACT",
    "ARRAY_CONCAT",
    "ARRAY_DISTINCT",
    "ARRAY_EXCEPT",
    "ARRAY_EXISTS",
    "ARRAY_INSERT",
    "ARRAY_INTERSECT",
    "ARRAY_JOIN",
    "ARRAY_LENGTH",
    "ARRAY_MAX",
    "ARRAY_MIN",
    "ARRAY_POSITION",
    "ARRAY_PREPEND",
    "ARRAY_REMOVE",
    "ARRAY_REPEAT",
    "ARRAY_REVERSE",
    "ARRAY_SIZE",
    "ARRAY_TO_STRING",
    "ARRAY_UNION",
    "ASCII",
    "ASIN",
    "ASINH",
    "ATAN",
    "ATAN2",
    "ATANH",
    "BIN2UTF8",
    "BITAND",
    "BITNOT",
    "BITOR",
    "BITXOR",
    "BIT_AND",
    "BIT_OR",
    "BIT_XOR",
    "BROUND",
    "CBRT",
    "CHR",
    "CONCAT_WS",
    "CONNECTOR_METADATA",
    "COS",
    "COSH",
    "COT",
    "COTH",
    "COVAR_POP",
    "COVAR_SAMP",
    "CSC",
    "CSCH",
    "DATEADD",
    "DATEDIFF",
    "DATE_ADD",
    "DATE_SUB",
    "DATE_TRUNC",
    "DEGREES",
    "DENSE_RANK",
    "ELEMENT",
    "FIRST_VALUE",
    "FORMAT_DATE",
    "FORMAT_TIME",
    "FORMAT_TIMESTAMP",
    "FROM_BASE64",
    "FROM_HEX",
    "GROUPING",
    "GROUPING_ID",
    "GUNZIP",
    "IS_INF",
    "IS_NAN",
    "LAG",
    "LAST_VALUE",
    "LEAD",
    "LOG",
    "MAKE_DATE",
    "MAKE_TIMESTAMP",
    "MAP_CONTAINS_KEY",
    "MD5",
    "MODE",
    "NTILE",
    "OCTET_LENGTH",
    "OVERLAY",
    "PARSE_DATE",
    "PARSE_TIME",
    "PARSE_TIMESTAMP",
    "PI",
    "RADIANS",
    "RANK",
    "REGEXP_REPLACE",
    "RLIKE",
    "ROW_NUMBER",
    "SAFE_OFFSET",
    "SEC",
    "SECH",
    "SEQUENCE",
    "SIN",
    "SINH",
    "SORT_ARRAY",
    "SPLIT",
    "SPLIT_PART",
    "STDDEV",
    "STDDEV_POP",
    "STDDEV_SAMP",
    "TAN",
    "TANH",
    "TIMESTAMPADD",
    "TIMESTAMPDIFF",
    "TRANSFORM",
    "WRITELOG",
];

/// Whether a real server has a function of this name, and this engine has not.
pub(crate) fn is_known_elsewhere(name: &str) -> bool {
    OTHERS.binary_search(&name).is_ok()
        || [
            "ANY_VALUE",
            "APPROX_",
            "COLLECT",
            "CORR",
            "LISTAGG",
            "MEDIAN",
            "PERCENTILE_",
            "STRING_AGG",
            "VAR_",
            "VARIANCE",
            "REGR_",
            "ST_",
            "TO_",
            "TIMESTAMP_",
            "TIME_",
            "DATE_",
            "UUID",
            "TUMBLE",
            "HOP",
            "SESSION",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// The function of a name, in upper case.
pub(crate) fn signature(name: &str) -> Option<Signature> {
    let (function, arguments) = match name {
        "ABS" => (Function::Abs, 1..=1),
        "CEIL" | "CEILING" => (Function::Ceil, 1..=1),
        "FLOOR" => (Function::Floor, 1..=1),
        "ROUND" => (Function::Round, 1..=2),
        "TRUNCATE" | "TRUNC" => (Function::Truncate, 1..=2),
        "SIGN" => (Function::Sign, 1..=1),
        "SQRT" => (Function::Sqrt, 1..=1),
        "POWER" | "POW" => (Function::Power, 2..=2),
        "EXP" => (Function::Exp, 1..=1),
        "LN" => (Function::Ln, 1..=1),
        "LOG10" => (Function::Log10, 1..=1),
        "UPPER" => (Function::Upper, 1..=1),
        "LOWER" => (Function::Lower, 1..=1),
        "TRIM" => (Function::Trim, 1..=2),
        "LTRIM" => (Function::TrimStart, 1..=2),
        "RTRIM" => (Function::TrimEnd, 1..=2),
        "SUBSTRING" | "SUBSTR" => (Function::Substring, 2..=3),
        "CONCAT" => (Function::Concat, 1..=usize::MAX),
        "CHAR_LENGTH" | "CHARACTER_LENGTH" | "LENGTH" | "LEN" => (Function::Length, 1..=1),
        "POSITION" => (Function::Position, 2..=2),
        "REPLACE" => (Function::Replace, 3..=3),
        "LEFT" => (Function::Left, 2..=2),
        "RIGHT" => (Function::Right, 2..=2),
        "REPEAT" => (Function::Repeat, 2..=2),
        "INITCAP" => (Function::Initcap, 1..=1),
        "COALESCE" | "IFNULL" | "NVL" => (Function::Coalesce, 1..=usize::MAX),
        "NULLIF" => (Function::NullIf, 2..=2),
        "GREATEST" => (Function::Greatest, 1..=usize::MAX),
        "LEAST" => (Function::Least, 1..=usize::MAX),
        "CARDINALITY" => (Function::Cardinality, 1..=1),
        "ARRAY_CONTAINS" => (Function::ArrayContains, 2..=2),
        "PARSE_JSON" => (Function::ParseJson, 1..=1),
        "TO_JSON" => (Function::ToJson, 1..=1),
        _ => return None,
    };
    Some(Signature { function, arguments })
}

impl Function {
    /// The types that the arguments are converted to, and that of the result; `None` if the function does not take
    /// arguments of these types.
    pub(crate) fn types(self, given: &[Type]) -> Option<(Vec<Type>, Type)> {
        let first = given.first()?.clone();
        let number = |first: &Type| first.is_number() || *first == Type::Null;
        let texts = |count: usize| vec![Type::TEXT; count];
        let is_text = |kind: &Type| kind.is_text() || *kind == Type::Null;
        Some(match self {
            Self::Abs | Self::Sign if number(&first) => (given.to_vec(), first),
            Self::Ceil | Self::Floor if number(&first) => {
                let result = match first {
                    Type::Decimal { precision, scale } => Type::decimal(precision - scale + 1, 0),
                    ref other => other.clone(),
                };
                (given.to_vec(), result)
            }
            Self::Round | Self::Truncate if number(&first) => {
                (std::iter::once(first.clone()).chain(given.iter().skip(1).map(|_| Type::INT)).collect(), first)
            }
            Self::Sqrt | Self::Power | Self::Exp | Self::Ln | Self::Log10 if given.iter().all(number) => {
                (vec![Type::Double; given.len()], Type::Double)
            }
            Self::Upper
            | Self::Lower
            | Self::Trim
            | Self::TrimStart
            | Self::TrimEnd
            | Self::Initcap
            | Self::Replace
                if given.iter().all(is_text) =>
            {
                (texts(given.len()), Type::TEXT)
            }
            Self::Concat => (texts(given.len()), Type::TEXT),
            Self::Length if is_text(&first) => (texts(1), Type::INT),
            Self::Position => (texts(2), Type::INT),
            Self::Substring | Self::Left | Self::Right | Self::Repeat if is_text(&first) => {
                (texts(1).into_iter().chain(given.iter().skip(1).map(|_| Type::INT)).collect(), Type::TEXT)
            }
            Self::Coalesce | Self::Greatest | Self::Least => {
                let common = given.iter().skip(1).try_fold(first, |common, next| common.common(next))?;
                (vec![common.clone(); given.len()], common)
            }
            Self::NullIf => {
                let common = first.common(&given[1])?;
                (vec![common; 2], first)
            }
            Self::Cardinality if matches!(first, Type::Array(_) | Type::Map(..)) => (given.to_vec(), Type::INT),
            Self::ArrayContains => match first {
                Type::Array(ref element) => (vec![first.clone(), (**element).clone()], Type::Boolean),
                _ => return None,
            },
            Self::ParseJson => (texts(1), Type::Variant),
            Self::ToJson => (given.to_vec(), Type::TEXT),
            _ => return None,
        })
    }

    /// Whether the result can be `NULL`, where that is known of the arguments.
    pub(crate) fn is_nullable(self, arguments: &[bool]) -> bool {
        match self {
            Self::Coalesce => arguments.iter().all(|nullable| *nullable),
            Self::NullIf | Self::ParseJson => true,
            _ => arguments.iter().any(|nullable| *nullable),
        }
    }
}
