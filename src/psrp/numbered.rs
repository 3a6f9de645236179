//! Enums whose variants have the protocol's numbers.

/// Declares an enum with its numbers, and `from_number`, which returns `None` for an unknown one.
macro_rules! numbered {
    ($(#[$attribute:meta])* pub enum $name:ident: $number:ident { $($variant:ident = $value:literal,)* }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr($number)]
        pub enum $name {
            $($variant = $value,)*
        }

        impl $name {
            fn from_number(number: $number) -> Option<Self> {
                match number {
                    $($value => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

pub(super) use numbered;
