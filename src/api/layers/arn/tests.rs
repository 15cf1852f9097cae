//! What names a layer, and what does not.

use super::*;

#[test]
fn the_parts_of_an_arn_are_told_apart() {
    let text = "arn:aws:lambda:us-east-1:000000000000:layer:my-layer_1:42";
    let arn = LayerArn::parse(text).unwrap();
    let parts = (arn.region, arn.account, arn.name, arn.version);
    assert_eq!(parts, ("us-east-1", "000000000000", "my-layer_1", Some("42")));
    let plain = text.strip_suffix(":42").unwrap();
    assert_eq!(LayerArn::parse(plain).unwrap(), LayerArn { text: plain, version: None, ..arn });
    assert!(LayerArn::parse("arn:aws-us-gov:lambda:us-gov-east-1:000000000000:layer:l").is_some());
}

#[test]
fn what_only_looks_like_one_is_none() {
    for text in [
        "",
        "layer",
        "arn:aws:lambda:us-east-1:000000000000:layer:",
        "arn:aws:lambda:us-east-1:000000000000:layer:l:",
        "arn:aws:lambda:us-east-1:000000000000:layer:l:x",
        "arn:aws:lambda:us-east-1:000000000000:layer:l:1:2",
        "arn:aws:lambda:us-east-1:000000000000:layer:l.m:1",
        "arn:aws:lambda:us-east-1:00000000000:layer:l:1",
        "arn:aws:lambda:nowhere:000000000000:layer:l:1",
        "arn:aws:lambda:us-east-1:000000000000:function:l:1",
        "arn:aws:s3:us-east-1:000000000000:layer:l:1",
        "arn:gcp:lambda:us-east-1:000000000000:layer:l:1",
        "arn:aws:lambda:us-east-1:000000000000:layer:l:1\n",
    ] {
        assert_eq!(LayerArn::parse(text), None, "{text:?}");
        assert!(!(LAYER_VERSION.matches)(text), "{text:?}");
    }
}

#[test]
fn functions_name_versions_and_layers_of_awss_own() {
    let fits = LAYER_VERSION.matches;
    assert!(fits("arn:aws:lambda:us-east-1:000000000000:layer:l:1"));
    assert!(!fits("arn:aws:lambda:us-east-1:000000000000:layer:l"));
    assert!(fits("arn:aws:lambda:::awslayer:AmazonLinux1703"));
    assert!(!fits("arn:aws:lambda:::awslayer:"));
    assert!(!fits("arn:aws:lambda:us-east-1::awslayer:l"));
}
