//! Promises about lists of trees.

use super::*;

fn bytes(list: &[(u8, u8)]) -> Vec<u8> {
    let mut out = Writer::tagged(list.len() as u8);
    for (place, fill) in list {
        out.u8(*place).raw(&[*fill; 32]);
    }
    out.done()
}

fn read(bytes: &[u8]) -> Result<Trees, DecodeError> {
    let mut from = Reader::new(bytes);
    let trees = Trees::decode(&mut from)?;
    from.finish().map(|()| trees)
}

#[test]
fn every_place_has_one_number_and_they_ascend_from_one() {
    let numbers: Vec<u8> = Place::ALL.iter().map(|place| *place as u8).collect();
    let expected: Vec<u8> = (1..=Place::ALL.len() as u8).collect();
    assert_eq!(numbers, expected);
}

#[test]
fn what_was_put_at_a_place_is_there_and_nowhere_else() {
    let plain = Trees::of([1; 32]);
    assert_eq!(plain.iter().collect::<Vec<_>>(), [(Place::Code, &[1; 32])]);
    for place in Place::ALL {
        let with = plain.with(place, Some([9; 32]));
        for other in Place::ALL {
            let expected = if other == place { Some(&[9; 32]) } else { plain.at(other) };
            assert_eq!(with.at(other), expected);
        }
        let mut out = Writer::default();
        with.encode(&mut out);
        assert_eq!(read(&out.done()), Ok(with));
    }
}

#[test]
fn there_is_always_code() {
    assert_eq!(Trees::of([1; 32]).with(Place::Code, None), Trees::of([1; 32]));
    assert!(read(&bytes(&[])).is_err());
    assert!(read(&bytes(&[(Place::Layers as u8, 7)])).is_err());
}

#[test]
fn a_list_has_one_spelling() {
    let (code, layers) = (Place::Code as u8, Place::Layers as u8);
    assert!(read(&bytes(&[(code, 1), (layers, 2)])).is_ok());
    for wrong in [
        &[(layers, 2), (code, 1)][..],
        &[(code, 1), (code, 1)],
        &[(code, 1), (layers, 2), (layers, 2)],
        &[(code, 1), (0, 2)],
        &[(code, 1), (Place::ALL.len() as u8 + 1, 2)],
        &[(code, 1), (255, 2)],
        &[(0, 1)],
    ] {
        assert!(read(&bytes(wrong)).is_err(), "{wrong:?}");
    }
}
