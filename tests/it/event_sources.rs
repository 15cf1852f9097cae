//! Event source mappings, as far as there are none: boto3 is told what AWS would tell it.

use serde_json::json;

use crate::harness::tools::boto3;
use crate::harness::{Function, shared};

#[test]
fn boto3_is_told_in_aws_s_words_that_its_event_sources_are_not_there() {
    let daemon = shared();
    let function = Function::python("def handler(event, context):\n    pass\n").deploy(&daemon);
    let script = "
        import json, sys

        import boto3
        from botocore.exceptions import ClientError

        client = boto3.client('lambda')

        def refused(call, **arguments):
            try:
                call(**arguments)
            except ClientError as err:
                return err.response['Error']
            raise AssertionError(f'{call} was not refused')

        queue = 'arn:aws:sqs:us-east-1:000000000000:q'
        create = lambda **more: refused(
            client.create_event_source_mapping, FunctionName=sys.argv[1], **more
        )
        pages = client.get_paginator('list_event_source_mappings').paginate()
        print(json.dumps({
            'queue': create(EventSourceArn=queue),
            'stream': create(EventSourceArn='arn:aws:kinesis:us-east-1:000000000000:stream/s'),
            'bucket': create(EventSourceArn='arn:aws:s3:::bucket'),
            'size': create(EventSourceArn=queue, BatchSize=11),
            'none': refused(client.get_event_source_mapping, UUID='0' * 36),
            'all': [one for page in pages for one in page['EventSourceMappings']],
        }))
        ";
    let said = boto3(&daemon, script, &[&function.name]);
    let invalid =
        |message: &str| json!({"Code": "InvalidParameterValueException", "Message": message});
    assert_eq!(
        said["queue"],
        invalid(
            "Error occurred while ReceiveMessage. SQS Error Code: \
             AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does \
             not exist."
        )
    );
    let null = "1 validation error detected: Value null at 'startingPosition' failed to satisfy \
                constraint: Member must not be null.";
    assert_eq!(said["stream"], invalid(null));
    assert_eq!(said["bucket"], invalid("Unrecognized event source."));
    let size = "Maximum batch window in seconds must be greater than 0 if maximum batch size is \
                greater than 10";
    assert_eq!(said["size"], invalid(size));
    assert_eq!(said["none"]["Code"], "ResourceNotFoundException", "{said}");
    assert_eq!(said["all"], json!([]));
}
