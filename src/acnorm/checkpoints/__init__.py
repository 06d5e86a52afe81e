"""Reading other people's weights: safely, under whatever names, and with a report of what loaded.

read  a file to a state dict, without running code from it
keys  wrapper prefixes off, so that names fit a network
stem  the first convolution between 1, 3 and N input channels
load  into a network, with a report; too little loaded is an error
"""
