//! What differs between the two versions of OpenAPI.

use serde_json::{Map, Value, json};

/// The version of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavor {
    V2,
    V3,
}

/// The encodings that bodies are served in.
const TYPES: &[&str] = &["application/json", "application/yaml"];

fn content(types: &[&str], schema: &Value) -> Map<String, Value> {
    types.iter().map(|ty| ((*ty).to_owned(), json!({"schema": schema}))).collect()
}

impl Flavor {
    /// A reference to a definition.
    pub(super) fn reference(self, name: &str) -> Value {
        let place = match self {
            Self::V2 => "#/definitions",
            Self::V3 => "#/components/schemas",
        };
        json!({"$ref": format!("{place}/{name}")})
    }

    /// A parameter outside the body.
    pub(super) fn parameter(self, place: &str, name: &str, ty: &str, description: &str) -> Value {
        let mut value = json!({"name": name, "in": place, "description": description});
        match self {
            Self::V2 => {
                value["type"] = ty.into();
                value["uniqueItems"] = true.into();
            }
            Self::V3 => value["schema"] = json!({"type": ty, "uniqueItems": true}),
        }
        if place == "path" {
            value["required"] = true.into();
        }
        value
    }

    /// Adds a body of a definition to an operation.
    pub(super) fn body(self, operation: &mut Value, types: &[&str], definition: &str) {
        let reference = self.reference(definition);
        match self {
            Self::V2 => {
                operation["consumes"] = json!(types);
                let body = json!({"in": "body", "name": "body", "required": true, "schema": reference});
                if let Some(parameters) = operation["parameters"].as_array_mut() {
                    parameters.push(body);
                }
            }
            Self::V3 => {
                operation["requestBody"] = json!({"content": content(types, &reference), "required": true})
            }
        }
    }

    /// A response of a definition, or of plain text when none is named.
    pub(super) fn response(self, description: &str, definition: Option<&str>) -> Value {
        let schema = definition.map_or_else(|| json!({"type": "string"}), |name| self.reference(name));
        match self {
            Self::V2 => json!({"description": description, "schema": schema}),
            Self::V3 => {
                let types = if definition.is_some() { TYPES } else { &["text/plain"] };
                json!({"description": description, "content": content(types, &schema)})
            }
        }
    }
}
