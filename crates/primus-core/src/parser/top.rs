//! Finds out whether a value is bytes, or several arguments, while it is encoded by a format that has
//! neither.

use std::cell::Cell;

use serde::{Serialize, Serializer};

use super::args;

/// What a value turned out to be.
#[derive(Default)]
pub(super) struct Found {
    /// It is bytes, these.
    pub(super) bytes: Cell<Option<Vec<u8>>>,
    /// It is several arguments.
    pub(super) several: Cell<bool>,
}

/// A value that leaves its bytes in a cell if it is bytes, and is a unit then. Everything else
/// goes on to the serializer as it is: what is below the top does not pass through here.
pub(super) struct Top<'a> {
    value: &'a dyn erased_serde::Serialize,
    found: &'a Found,
}

impl<'a> Top<'a> {
    pub(super) fn new(value: &'a dyn erased_serde::Serialize, found: &'a Found) -> Self {
        Self { value, found }
    }
}

impl Serialize for Top<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        erased_serde::serialize(self.value, Catch { serializer, found: self.found })
    }
}

struct Catch<'a, S> {
    serializer: S,
    found: &'a Found,
}

macro_rules! forward {
    ($($method:ident($($name:ident: $T:ty),*) -> $Ok:ident;)*) => {
        $(fn $method(self, $($name: $T),*) -> Result<S::$Ok, S::Error> {
            self.serializer.$method($($name),*)
        })*
    };
}

impl<S: Serializer> Serializer for Catch<'_, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = S::SerializeSeq;
    type SerializeTuple = S::SerializeTuple;
    type SerializeTupleStruct = S::SerializeTupleStruct;
    type SerializeTupleVariant = S::SerializeTupleVariant;
    type SerializeMap = S::SerializeMap;
    type SerializeStruct = S::SerializeStruct;
    type SerializeStructVariant = S::SerializeStructVariant;

    fn serialize_bytes(self, bytes: &[u8]) -> Result<S::Ok, S::Error> {
        self.found.bytes.set(Some(bytes.to_vec()));
        self.serializer.serialize_unit()
    }

    // An option and a newtype stand for what is in them, in JSON as here.

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        if name == args::NAME {
            self.found.several.set(true);
        }
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.serializer.serialize_newtype_variant(name, index, variant, value)
    }

    forward! {
        serialize_bool(value: bool) -> Ok;
        serialize_i8(value: i8) -> Ok;
        serialize_i16(value: i16) -> Ok;
        serialize_i32(value: i32) -> Ok;
        serialize_i64(value: i64) -> Ok;
        serialize_i128(value: i128) -> Ok;
        serialize_u8(value: u8) -> Ok;
        serialize_u16(value: u16) -> Ok;
        serialize_u32(value: u32) -> Ok;
        serialize_u64(value: u64) -> Ok;
        serialize_u128(value: u128) -> Ok;
        serialize_f32(value: f32) -> Ok;
        serialize_f64(value: f64) -> Ok;
        serialize_char(value: char) -> Ok;
        serialize_str(value: &str) -> Ok;
        serialize_none() -> Ok;
        serialize_unit() -> Ok;
        serialize_unit_struct(name: &'static str) -> Ok;
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str) -> Ok;
        serialize_seq(len: Option<usize>) -> SerializeSeq;
        serialize_tuple(len: usize) -> SerializeTuple;
        serialize_tuple_struct(name: &'static str, len: usize) -> SerializeTupleStruct;
        serialize_tuple_variant(
            name: &'static str, index: u32, variant: &'static str, len: usize
        ) -> SerializeTupleVariant;
        serialize_map(len: Option<usize>) -> SerializeMap;
        serialize_struct(name: &'static str, len: usize) -> SerializeStruct;
        serialize_struct_variant(
            name: &'static str, index: u32, variant: &'static str, len: usize
        ) -> SerializeStructVariant;
    }

    fn is_human_readable(&self) -> bool {
        self.serializer.is_human_readable()
    }
}
