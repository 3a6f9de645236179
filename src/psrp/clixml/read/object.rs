//! `<Obj>`, `<Ref>`, and the values in them.

use std::collections::HashMap;
use std::sync::Arc;

use super::limits::{Limits, ReadError};
use super::primitive;
use super::source::{Node, Source, Tag};
use crate::psrp::clixml::{Content, Name, Object, TypeNames, Value, type_names};

/// Form of an element of a progress record.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Number,
}

/// The properties of a progress record, their elements, and the elements' forms.
const PROGRESS: [(&str, &[&str], Form); 8] = [
    ("ActivityId", &["AI"], Form::Number),
    ("ParentActivityId", &["PI"], Form::Number),
    ("Activity", &["AV"], Form::Text),
    ("StatusDescription", &["SD"], Form::Text),
    ("CurrentOperation", &["S", "Nil"], Form::Text),
    ("PercentComplete", &["PC"], Form::Number),
    ("SecondsRemaining", &["SR"], Form::Number),
    ("RecordType", &["T"], Form::Text),
];
/// Index of the property that is an ordinary value.
const CURRENT_OPERATION: usize = 4;

/// A value, and its size with all references followed.
struct Measured {
    value: Value,
    extent: Extent,
}

#[derive(Clone, Copy)]
struct Extent {
    /// Nesting depth, including the value itself.
    height: usize,
    values: usize,
}

impl Extent {
    const ONE: Self = Self { height: 1, values: 1 };

    /// Adds the extent of an inner value.
    fn hold(&mut self, inner: Self) {
        self.height = self.height.max(inner.height.saturating_add(1));
        self.values = self.values.saturating_add(inner.values);
    }
}

/// Target of a RefId.
enum Referred {
    Open,
    Whole(Arc<Object>, Extent),
}

pub(super) struct Reader<'a> {
    source: Source<'a>,
    limits: Limits,
    objects: HashMap<Box<str>, Referred>,
    type_names: HashMap<Box<str>, TypeNames>,
}

impl<'a> Reader<'a> {
    pub fn new(source: Source<'a>, limits: Limits) -> Self {
        Self { source, limits, objects: HashMap::new(), type_names: HashMap::new() }
    }

    /// Reads the text's single value.
    pub fn document(&mut self) -> Result<Value, ReadError> {
        let Node::Open(mut tag) = self.source.node()? else {
            return Err(ReadError::malformed("the text is empty"));
        };
        let enveloped = tag.name() == "Objs" && !tag.empty;
        if enveloped {
            match self.source.node()? {
                Node::Open(inner) => tag = inner,
                _ => return Err(ReadError::malformed("<Objs> is empty")),
            }
        }
        let value = self.value(&mut tag, 1)?.value;
        if enveloped && !matches!(self.source.node()?, Node::Close) {
            return Err(ReadError::malformed("<Objs> contains more than one value"));
        }
        match self.source.node()? {
            Node::End => Ok(value),
            _ => Err(ReadError::malformed("the text contains more than one value")),
        }
    }

    fn value(&mut self, tag: &mut Tag<'a>, depth: usize) -> Result<Measured, ReadError> {
        if depth > self.limits.depth {
            return Err(ReadError::TooDeep(self.limits.depth));
        }
        match tag.name() {
            "Obj" => self.object(tag, depth),
            "Ref" => self.reference(tag, depth),
            "PR" => self.progress(tag, depth),
            _ => match primitive::read(&mut self.source, tag)? {
                Some(value) => Ok(Measured { value, extent: Extent::ONE }),
                None => Err(ReadError::Malformed(format!("<{}> is not a value", tag.name()))),
            },
        }
    }

    /// A `<Ref>` to an object that is still open, a cycle, is read as null. PowerShell writes cycles for
    /// objects that contain themselves (a child's `Parent`): the rest of the object is useful, and a value of
    /// shared, immutable parts cannot contain itself.
    fn reference(&mut self, tag: &Tag<'a>, depth: usize) -> Result<Measured, ReadError> {
        self.source.skip(tag)?;
        let id = tag.ref_id.as_deref().ok_or_else(|| ReadError::malformed("<Ref> has no RefId"))?;
        match self.objects.get(id) {
            Some(Referred::Whole(object, extent)) => {
                let measured = Measured { value: Value::Object(Arc::clone(object)), extent: *extent };
                self.check(measured.extent, depth)?;
                Ok(measured)
            }
            Some(Referred::Open) => Ok(Measured { value: Value::Null, extent: Extent::ONE }),
            None => Err(ReadError::Malformed(format!("<Ref> to unknown object {id:?}"))),
        }
    }

    /// Reads a progress record, whose form differs from other objects (`WriteProgressRecord` in `serialization.cs`). The
    /// properties have the names and the order of `ProgressRecord`.
    fn progress(&mut self, tag: &mut Tag<'a>, depth: usize) -> Result<Measured, ReadError> {
        let mut values: [Value; PROGRESS.len()] = std::array::from_fn(|_| Value::Null);
        let mut extent = Extent::ONE;
        if !tag.empty {
            while let Some(mut child) = self.child()? {
                let name = child.name().to_owned();
                let place = PROGRESS.iter().position(|(_, elements, _)| elements.contains(&name.as_str()));
                let inner = match place {
                    // The other elements are named after the properties instead of their types.
                    Some(CURRENT_OPERATION) | None => self.value(&mut child, depth + 1)?,
                    Some(place) => {
                        let text = self.source.text(&child)?;
                        let value = match PROGRESS[place].2 {
                            Form::Text => Value::String(text.into_owned()),
                            Form::Number => Value::I32(text.trim().parse().map_err(|_| {
                                ReadError::Malformed(format!("invalid <{name}> in a progress record"))
                            })?),
                        };
                        Measured { value, extent: Extent::ONE }
                    }
                };
                extent.hold(inner.extent);
                if let Some(place) = place {
                    values[place] = inner.value;
                }
            }
        }
        self.check(extent, depth)?;
        let text = |place: usize| values[place].display_text();
        let object = Object {
            type_names: type_names(["System.Management.Automation.ProgressRecord", "System.Object"]),
            to_string: Some(format!(
                "parent = {} id = {} act = {} stat = {} cur = {} pct = {} sec = {} type = {}",
                text(1),
                text(0),
                text(2),
                text(3),
                text(CURRENT_OPERATION),
                text(5),
                text(6),
                text(7)
            )),
            adapted: PROGRESS.iter().map(|(name, ..)| Name::from(*name)).zip(values).collect(),
            ..Object::default()
        };
        Ok(Measured { value: Value::Object(Arc::new(object)), extent })
    }

    fn check(&self, extent: Extent, depth: usize) -> Result<(), ReadError> {
        if extent.height.saturating_add(depth - 1) > self.limits.depth {
            return Err(ReadError::TooDeep(self.limits.depth));
        }
        if extent.values > self.limits.references {
            return Err(ReadError::TooManyReferences(self.limits.references));
        }
        Ok(())
    }

    fn object(&mut self, tag: &mut Tag<'a>, depth: usize) -> Result<Measured, ReadError> {
        if let Some(id) = &tag.ref_id {
            self.objects.insert(id.clone(), Referred::Open);
        }
        let mut object = Object::default();
        let mut extent = Extent::ONE;
        if !tag.empty {
            while let Some(mut child) = self.child()? {
                self.part(&mut child, &mut object, &mut extent, depth)?;
            }
        }
        self.check(extent, depth)?;
        let object = Arc::new(object);
        if let Some(id) = tag.ref_id.take() {
            self.objects.insert(id, Referred::Whole(Arc::clone(&object), extent));
        }
        Ok(Measured { value: Value::Object(object), extent })
    }

    /// Reads one child of an `<Obj>`.
    fn part(
        &mut self,
        tag: &mut Tag<'a>,
        object: &mut Object,
        extent: &mut Extent,
        depth: usize,
    ) -> Result<(), ReadError> {
        let content = match tag.name() {
            "TN" => {
                object.type_names = self.names(tag)?;
                return Ok(());
            }
            "TNRef" => {
                object.type_names = self.repeated_names(tag)?;
                return Ok(());
            }
            "ToString" => {
                object.to_string = Some(self.source.text(tag)?.into_owned());
                return Ok(());
            }
            "Props" => return self.properties(tag, &mut object.adapted, extent, depth),
            "MS" => return self.properties(tag, &mut object.extended, extent, depth),
            "LST" => Content::List(self.list(tag, extent, depth)?),
            "IE" => Content::Enumerable(self.list(tag, extent, depth)?),
            "STK" => Content::Stack(self.list(tag, extent, depth)?),
            "QUE" => Content::Queue(self.list(tag, extent, depth)?),
            "DCT" => Content::Dictionary(self.dictionary(tag, extent, depth)?),
            _ => {
                let inner = self.value(tag, depth + 1)?;
                extent.hold(inner.extent);
                Content::Primitive(inner.value)
            }
        };
        if object.content != Content::None {
            return Err(ReadError::malformed("<Obj> has two contents"));
        }
        object.content = content;
        Ok(())
    }

    fn names(&mut self, tag: &mut Tag<'a>) -> Result<TypeNames, ReadError> {
        let mut names = Vec::new();
        if !tag.empty {
            while let Some(child) = self.child()? {
                if child.name() != "T" {
                    return Err(ReadError::Malformed(format!("<TN> contains <{}>", child.name())));
                }
                names.push(self.source.name(&child)?);
            }
        }
        let names = self.source.names.list(&names);
        if let Some(id) = tag.ref_id.take() {
            self.type_names.insert(id, Arc::clone(&names));
        }
        Ok(names)
    }

    fn repeated_names(&mut self, tag: &Tag<'a>) -> Result<TypeNames, ReadError> {
        self.source.skip(tag)?;
        let names = tag
            .ref_id
            .as_ref()
            .and_then(|id| self.type_names.get(id))
            .ok_or_else(|| ReadError::malformed("<TNRef> to unknown type names"))?;
        Ok(Arc::clone(names))
    }

    fn properties(
        &mut self,
        tag: &Tag<'a>,
        into: &mut Vec<(Name, Value)>,
        extent: &mut Extent,
        depth: usize,
    ) -> Result<(), ReadError> {
        if tag.empty {
            return Ok(());
        }
        while let Some(mut child) = self.child()? {
            let name = child.property.take().ok_or_else(|| ReadError::malformed("a property has no name"))?;
            let inner = self.value(&mut child, depth + 1)?;
            extent.hold(inner.extent);
            into.push((name, inner.value));
        }
        into.shrink_to_fit();
        Ok(())
    }

    fn list(&mut self, tag: &Tag<'a>, extent: &mut Extent, depth: usize) -> Result<Vec<Value>, ReadError> {
        let mut items = Vec::new();
        if !tag.empty {
            while let Some(mut child) = self.child()? {
                let inner = self.value(&mut child, depth + 1)?;
                extent.hold(inner.extent);
                items.push(inner.value);
            }
        }
        Ok(items)
    }

    fn dictionary(
        &mut self,
        tag: &Tag<'a>,
        extent: &mut Extent,
        depth: usize,
    ) -> Result<Vec<(Value, Value)>, ReadError> {
        let mut entries = Vec::new();
        if tag.empty {
            return Ok(entries);
        }
        while let Some(entry) = self.child()? {
            if entry.name() != "En" || entry.empty {
                return Err(ReadError::malformed("<DCT> contains an element other than <En>"));
            }
            let (mut key, mut value) = (None, None);
            while let Some(mut child) = self.child()? {
                let slot = match child.property.as_deref() {
                    Some("Key") => &mut key,
                    Some("Value") => &mut value,
                    _ => return Err(ReadError::malformed("<En> contains neither Key nor Value")),
                };
                let inner = self.value(&mut child, depth + 1)?;
                extent.hold(inner.extent);
                *slot = Some(inner.value);
            }
            match (key, value) {
                (Some(key), Some(value)) => entries.push((key, value)),
                _ => return Err(ReadError::malformed("<En> lacks its Key or Value")),
            }
        }
        Ok(entries)
    }

    /// Returns the next child of the open element, or `None` at its end.
    fn child(&mut self) -> Result<Option<Tag<'a>>, ReadError> {
        match self.source.node()? {
            Node::Open(tag) => Ok(Some(tag)),
            Node::Close => Ok(None),
            Node::End => Err(ReadError::malformed("the text ends within an element")),
        }
    }
}
