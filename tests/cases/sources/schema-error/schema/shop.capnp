@0xc0ffee5eedf00d11;

interface Shop {
  open @0 () -> (hours :Txt);
}
