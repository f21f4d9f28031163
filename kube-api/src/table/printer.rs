//! How a kind is printed: its columns and the cells of a row.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use super::cells;

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The heading, as in `Ready`; kubectl prints it in capitals.
    pub name: Cow<'static, str>,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub ty: &'static str,
    /// `name` for the column that names the object, otherwise empty.
    pub format: &'static str,
    /// What it shows.
    pub description: Cow<'static, str>,
    /// 0: always shown; 1: only with `-o wide`.
    pub priority: i32,
}

/// The cells of one object.
pub(super) type Cells = fn(&Value, Timestamp) -> Vec<Value>;

/// How a kind is printed.
#[derive(Clone)]
pub struct Printer {
    columns: Vec<Column>,
    cells: Cells,
}

impl fmt::Debug for Printer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Printer").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl Default for Printer {
    /// Name and age: kinds without columns of their own.
    fn default() -> Self {
        Self::of(&[("Name", "string", 0), ("Age", "string", 0)], |object, now| {
            vec![cells::name(object), cells::age(object, now)]
        })
    }
}

impl Printer {
    /// The columns of a built-in kind.
    pub fn builtin(group: &str, kind: &str) -> Self {
        cells::printer(group, kind).unwrap_or_default()
    }

    pub(super) fn of(columns: &[(&'static str, &'static str, i32)], cells: Cells) -> Self {
        let column = |(name, ty, priority): &(&'static str, &'static str, i32)| Column {
            name: Cow::Borrowed(name),
            ty,
            format: if *name == "Name" { "name" } else { "" },
            description: describe(name).into(),
            priority: *priority,
        };
        Self { columns: columns.iter().map(column).collect(), cells }
    }

    /// The columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The cells of one object, one per column. `now` is what ages count to.
    pub fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        (self.cells)(object, now)
    }
}

fn describe(column: &str) -> &'static str {
    match column {
        "Name" => {
            "Name must be unique within a namespace. Is required when creating resources, although some resources may \
             allow a client to request the generation of an appropriate name automatically."
        }
        "Age" => {
            "CreationTimestamp is a timestamp representing the server time when this object was created."
        }
        _ => "",
    }
}
