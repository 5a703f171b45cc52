({encoder:function(){throw Error('msgpack')},decoder:function(){throw Error('msgpack')}})
