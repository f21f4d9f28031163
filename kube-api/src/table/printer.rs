//! How a kind is printed: its columns and where the cells of a row come from.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use super::{cells, since};

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

/// Where a cell comes from.
#[derive(Clone, Copy)]
pub(super) enum Cell {
    /// The value at a JSON pointer, or this when there is none.
    At(&'static str, Missing),
    /// How many elements or entries there are.
    Count(&'static str),
    /// The time since the timestamp at this pointer.
    Since(&'static str),
    /// Computed.
    By(fn(&Value, Timestamp) -> Value),
}

/// What stands in a cell without a value.
#[derive(Clone, Copy)]
pub(super) enum Missing {
    Text(&'static str),
    Zero,
    False,
}

impl Cell {
    fn of(self, object: &Value, now: Timestamp) -> Value {
        match self {
            Self::At(pointer, missing) => match (object.pointer(pointer), missing) {
                (Some(value), _) if !value.is_null() && value != "" => value.clone(),
                (_, Missing::Text(text)) => text.into(),
                (_, Missing::Zero) => 0.into(),
                (_, Missing::False) => false.into(),
            },
            Self::Count(pointer) => match object.pointer(pointer) {
                Some(Value::Array(items)) => items.len().into(),
                Some(Value::Object(map)) => map.len().into(),
                _ => 0.into(),
            },
            Self::Since(pointer) => since(object.pointer(pointer), now).into(),
            Self::By(compute) => compute(object, now),
        }
    }
}

/// How a kind is printed.
#[derive(Clone)]
pub struct Printer {
    columns: Vec<Column>,
    cells: Vec<Cell>,
}

impl fmt::Debug for Printer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Printer").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl Default for Printer {
    /// Name and age: kinds without columns of their own.
    fn default() -> Self {
        Self::of(&[cells::NAME, cells::AGE])
    }
}

/// Heading, type, priority, cell.
pub(super) type Heading = (&'static str, &'static str, i32, Cell);

impl Printer {
    /// The columns of a built-in kind.
    pub fn builtin(group: &str, kind: &str) -> Self {
        cells::headings(group, kind).map_or_else(Self::default, |headings| Self::of(&headings))
    }

    fn of(headings: &[Heading]) -> Self {
        let column = |(name, ty, priority, _): &Heading| Column {
            name: Cow::Borrowed(name),
            ty,
            format: if *name == "Name" { "name" } else { "" },
            description: describe(name).into(),
            priority: *priority,
        };
        Self {
            columns: headings.iter().map(column).collect(),
            cells: headings.iter().map(|(.., cell)| *cell).collect(),
        }
    }

    /// The columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The cells of one object, one per column. `now` is what ages count to.
    pub fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        self.cells.iter().map(|cell| cell.of(object, now)).collect()
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
        "Status" => "The current state of the object.",
        "Ready" => "How many replicas or containers are ready, of how many that are wanted.",
        "Restarts" => "How often containers were restarted, and when that happened last.",
        "Containers" => "Names of each container in the template.",
        "Images" => "Images referenced by each container in the template.",
        "Selector" => "The labels of the pods that belong to the object.",
        _ => "",
    }
}
